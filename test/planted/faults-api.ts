// Faults of the admin API: of who may ask for what, and of what is done once. The form of a fault is in faults.ts.

import type { Fault } from './faults.ts'

const ROLES = { file: 'test/http/roles.test.ts', name: 'the table of outcomes' }

export const API_FAULTS: readonly Fault[] = [
  {
    id: 'every-role-is-enough', side: 'ca', cases: [], tests: [ROLES],
    edits: [{ file: 'src/core/operator.ts', find: 'return ROLES.indexOf(role) >= ROLES.indexOf(least)', replace: 'return ROLES.indexOf(role) >= 0 && least !== undefined' }],
  },
  {
    id: 'role-of-the-day-of-issue', side: 'ca', cases: [], tests: [{ file: 'test/http/roles.test.ts', name: 'an operator who is given another role' }],
    edits: [{ file: 'src/store/operators-view.ts', find: 'if (before !== undefined) operators.set(change.name, operatorAfter(before, change))', replace: 'operatorAfter(before ?? { name: change.name, role: \'viewer\', createdAt: 0 }, change)' }],
  },
  {
    id: 'tenants-see-everything', side: 'ca', cases: [], tests: [ROLES, { file: 'test/http/roles.test.ts', name: 'a list of a tenant' }],
    edits: [{ file: 'src/http/admin.ts', find: 'return tenant === undefined ? desk : limitToTenant(desk, tenant)', replace: 'return tenant === undefined ? desk : limitToTenant(desk, tenant) && desk' }],
  },
  {
    id: 'last-admin-goes', side: 'ca', cases: [], tests: [{ file: 'test/http/roles.test.ts', name: 'the last admin goes' }],
    edits: [{ file: 'src/store/sqlite/operators.ts', find: "return remains ? DONE : deny('last-admin')", replace: "return remains || changes.length > 0 ? DONE : deny('last-admin')" }],
  },
  {
    id: 'key-without-its-request', side: 'ca', cases: [], tests: [{ file: 'test/http/idempotency.test.ts', name: 'the same key for another body' }],
    edits: [{ file: 'src/http/idempotency.ts', find: 'return before.request === digest ? allow(await before.answer)', replace: 'return before.request !== undefined && digest !== undefined ? allow(await before.answer)' }],
  },
  {
    id: 'a-key-twice-is-read', side: 'ca', cases: [], tests: [{ file: 'test/http/strict-json.test.ts', name: 'a key twice' }],
    edits: [{ file: 'src/http/strict-json.ts', find: "if (object.keys.has(value)) return 'a key stands twice in one object'", replace: '' }],
  },
]
