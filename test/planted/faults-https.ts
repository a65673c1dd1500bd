// Faults of publishing over HTTPS. The form of a fault is in faults.ts.

import type { Fault } from './faults.ts'

export const HTTPS_FAULTS: readonly Fault[] = [
  {
    id: 'topic-decoded-twice', side: 'broker', cases: ['H02'],
    edits: [{ file: 'src/enroll/publish/request.ts', find: "const topic = decoded(target.slice(ROOT.length + 1, mark === -1 ? undefined : mark))", replace: "const topic = decoded(decoded(target.slice(ROOT.length + 1, mark === -1 ? undefined : mark)) ?? '%')" }],
  },
  {
    id: 'last-parameter-wins', side: 'broker', cases: ['H05'],
    edits: [{ file: 'src/enroll/publish/request.ts', find: 'if (name === undefined || query[name] !== undefined) return', replace: 'if (name === undefined) return' }],
  },
  {
    id: 'pages-may-publish', side: 'broker', cases: ['H08'],
    edits: [{ file: 'src/enroll/publish/request.ts', find: 'if (!origin.allow) return origin', replace: '' }],
  },
  {
    id: 'https-connection-outlives-revocation', side: 'broker', cases: ['H09'],
    edits: [{ file: 'src/broker/engine/posting.ts', find: 'if (!may.allow) end(line, may)', replace: '' }],
  },
  {
    id: 'posted-body-unbounded', side: 'broker', cases: ['H10'],
    edits: [
      { file: 'src/enroll/publish/door.ts', find: "if (announced !== undefined && announced > bytesMax) return deny('packet-too-large')", replace: '' },
      { file: 'src/enroll/publish/door.ts', find: 'await bodyOf(request, bytesMax)', replace: 'await bodyOf(request, Number.MAX_SAFE_INTEGER)' },
    ],
  },
  {
    id: 'https-has-its-own-rate', side: 'broker', cases: ['H11'],
    edits: [{ file: 'src/broker/engine/posting.ts', find: 'const grants = granting.connected(device, peer, peer.device, connection)', replace: 'const grants = granting.absent(device, peer, peer.device)' }],
  },
]
