// The random cases of a plain `npm test` are the same each time: a failure is somebody's change, and can be repeated. Other cases:
// TEST_SEED=$RANDOM npm test

import * as fc from 'fast-check'

const SEED = 20_261_128

fc.configureGlobal({ seed: Number(process.env['TEST_SEED'] ?? SEED) })
