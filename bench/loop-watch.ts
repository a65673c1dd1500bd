// Loaded into the server that is measured, before everything else: how long its event loop was busy with one thing at the worst, since
// the last time somebody asked. Asked with SIGUSR2, it answers in the file that SALLYPORT_LOOP_FILE names.

import { renameSync, writeFileSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { isMainThread } from 'node:worker_threads'

const RESOLUTION_MS = 1
const NS_PER_MS = 1e6
const file = process.env['SALLYPORT_LOOP_FILE']

if (isMainThread && file !== undefined) {
  const delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delays.enable()
  process.on('SIGUSR2', () => {
    writeFileSync(`${file}.new`, JSON.stringify({ maxMs: delays.max / NS_PER_MS, p99Ms: delays.percentile(99) / NS_PER_MS }))
    renameSync(`${file}.new`, file)
    delays.reset()
  })
}
