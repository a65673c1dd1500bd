// The console as it is built: what a browser loads first is small, and nothing in it can become a script.

import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

const ROOT = path.resolve(import.meta.dirname, '../..')
const BUILT = path.join(ROOT, 'dist/console')
const FIRST_LOAD_BYTES_MAX = 150 * 1024
const files = (folder: string): readonly string[] => readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((name) => path.join(folder, name))

describe('the build', () => {
  test('loads with 150 kB at most', () => {
    const compressed = files(BUILT).filter((name) => name.endsWith('.br')).map((name) => readFileSync(name).length)
    expect(compressed.length).toBeGreaterThanOrEqual(3)
    expect(compressed.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(FIRST_LOAD_BYTES_MAX)
  })

  test('asks nobody else for anything, and has no script or style inside its page', () => {
    const page = readFileSync(path.join(BUILT, 'index.html'), 'utf8')
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|https?:/)
    for (const name of files(BUILT).filter((file) => /\.(js|css)$/.test(file))) expect(readFileSync(name, 'utf8')).not.toMatch(/(?:fetch|import|url)\(\s*["'`]?https?:|@import/)
  })
})

describe('the source', () => {
  test('makes no markup of text, runs no text, and stores nothing in the browser', () => {
    for (const name of files(path.join(ROOT, 'src/console')).filter((file) => /\.tsx?$/.test(file))) {
      expect({ name, text: readFileSync(name, 'utf8').match(/dangerouslySetInnerHTML|innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc|javascript:|localStorage|sessionStorage|indexedDB|document\.cookie/g) }).toEqual({ name, text: null })
    }
  })
})
