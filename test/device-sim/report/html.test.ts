// The page that is one file: whatever is put into it is text, and it asks nobody for anything.

import { assert, property, string } from 'fast-check'
import { expect, test } from 'vitest'
import { html, htmlTable, page } from '../../../device-sim/report/html.ts'

test('what is put in is text, in elements and in attributes', () => {
  expect(html`<p title="${'" onload="x'}">${'<script>alert(1)</script> & co'}</p>`.markup).toBe('<p title="&quot; onload=&quot;x">&lt;script&gt;alert(1)&lt;/script&gt; &amp; co</p>')
})

test('markup that was made here stays markup, also in lists, and numbers are numbers', () => {
  expect(html`<ul>${['a', '<b>'].map((text) => html`<li>${text}</li>`)}</ul>${7}`.markup).toBe('<ul><li>a</li><li>&lt;b&gt;</li></ul>7')
})

test('an object that only looks like markup cannot come from a server: JSON text is text', () => {
  expect(html`${'{"markup":"<b>"}'}`.markup).toBe('{&quot;markup&quot;:&quot;&lt;b&gt;&quot;}')
})

test('no text breaks out, moves the cursor or turns the line', () => {
  assert(property(string({ unit: 'binary' }), (text) => {
    const { markup } = html`<i>${text}</i>`
    expect(markup.slice(3, -4)).not.toMatch(/[<>"']|&(?!amp;|lt;|gt;|quot;|#39;)|[\p{Cc}\p{Cf}]/u)
  }))
})

test('a page has no script, no address of anything, both kinds of light, and forbids what it does not use', () => {
  const text = page('A <title>', htmlTable({ head: ['x'], rows: [['y']], caption: 'c' }))
  expect(text).toMatch(/^<!doctype html>\n<html lang="en">/)
  expect(text).toContain('<title>A &lt;title&gt;</title>')
  expect(text).toContain("default-src 'none'; style-src 'unsafe-inline'")
  expect(text).toContain('prefers-color-scheme: dark')
  expect(text).not.toMatch(/<script|https?:|src=|href=|@import|url\(/)
})
