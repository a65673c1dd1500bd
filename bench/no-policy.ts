// The policy of a home in which nobody asks for it.

import path from 'node:path'
import type { Authority } from '../src/ca/issue.ts'
import type { OpenHome } from '../src/home.ts'
import { loadPolicy, needPolicy, readTexts } from '../src/policy-file.ts'
import { openPolicies, type Policies } from '../src/policies.ts'

export function noPolicy({ paths, registry, view, audit }: OpenHome, { issuer }: Authority): Promise<Policies> {
  return openPolicies({ data: paths.data, policyFile: path.join(paths.home, 'policy.yaml'), audit, clock: Date.now, warn: () => {}, read: (file) => loadPolicy(file, 1), compile: async (texts, generation) => needPolicy(readTexts(texts, generation)), serially: (work) => work(), fleet: () => ({ registry, view, issuer }) })
}
