// Somebody who is sent the audit log.

import type { Batch } from './position.ts'

export interface Receiver extends Disposable {
  /** Resolves when the receiver has these; rejects with the reason. They are then sent again, in the same order. */
  deliver(batch: Batch): Promise<void>
}
