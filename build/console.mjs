// Builds the console into dist/console: one page, one script, one style sheet, the latter two named by their hashes and
// compressed here once, and not at every request. npm runs it after `npm ci`. An install without development dependencies has
// nothing to build with: the server then says so on the page, and everything else works.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { brotliCompressSync, constants, gzipSync } from 'node:zlib'

const ROOT = path.resolve(import.meta.dirname, '..')
const SOURCE = path.join(ROOT, 'src', 'console')
const TARGET = path.join(ROOT, 'dist', 'console')

/** @returns {Promise<typeof import('vite') | undefined>} */
async function loadVite() {
  try {
    return await import('vite')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') return undefined
    throw error
  }
}

function compress(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !/\.(html|js|css|svg)$/.test(entry.name)) continue
    const file = path.join(entry.parentPath, entry.name)
    const bytes = readFileSync(file)
    writeFileSync(`${file}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY } }))
    writeFileSync(`${file}.gz`, gzipSync(bytes, { level: constants.Z_BEST_COMPRESSION }))
  }
}

const vite = await loadVite()
if (vite === undefined) {
  process.stderr.write('The console was not built: the development dependencies are not installed.\n')
} else {
  await vite.build({
    root: SOURCE,
    base: '/console/',
    configFile: false,
    logLevel: 'warn',
    build: {
      outDir: TARGET,
      emptyOutDir: true,
      target: 'es2022',
      // What is small stays a file, too: the page may load nothing from inside itself.
      assetsInlineLimit: 0,
      modulePreload: false,
      cssCodeSplit: false,
    },
  })
  compress(TARGET)
}
