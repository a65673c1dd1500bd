// sallyport policy schema.

import { policySchemaText } from '../policy-file/schema.ts'

/** It is JSON whoever asks. */
export function schema(): Promise<void> {
  process.stdout.write(policySchemaText())
  return Promise.resolve()
}
