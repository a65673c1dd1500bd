import { defineConfig } from 'vitest/config'

export default defineConfig({
  // sallyport/client is its source here: what a package has in its place is compiled from it.
  ssr: { resolve: { conditions: ['sallyport-source', 'node'] } },
  test: {
    include: ['test/**/*.test.ts'],
    setupFiles: ['test/one-seed.ts'],
    // Key stretching, TLS handshakes and child processes: generous, because a slow machine is not a failure.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // Tests wait for sockets and timers more than they compute: one file for each core, and none kept free.
    maxWorkers: '100%',
    reporters: process.env['CI'] ? ['default', ['json', { outputFile: 'reports/vitest.json' }]] : ['default'],
  },
})
