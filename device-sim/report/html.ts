// A page that is one file: no script, no network, light or dark as the reader's machine is. What a server has said is hostile: all
// that is put into the markup is escaped, by the one function that makes markup. It knows nothing of what stands on the page.

/** Markup that has been made here. */
export interface Html {
  readonly markup: string
}

export type Content = string | number | Html | readonly Content[]

const ENTITIES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Also what would turn the direction of a text, or hide in it. */
function escaped(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ').replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
}

function markupOf(content: Content): string {
  if (typeof content === 'string') return escaped(content)
  if (typeof content === 'number') return String(content)
  return isHtml(content) ? content.markup : content.map(markupOf).join('')
}

function isHtml(content: Html | readonly Content[]): content is Html {
  return 'markup' in content
}

/** Markup with holes; what is put into a hole is text, and stays text, unless it was made here. Attributes stand in double quotes. */
export function html(parts: TemplateStringsArray, ...holes: readonly Content[]): Html {
  return { markup: parts.map((part, i) => `${part}${i < holes.length ? markupOf(holes[i] ?? '') : ''}`).join('') }
}

export interface HtmlTable {
  readonly head: readonly Content[]
  readonly rows: readonly (readonly Content[])[]
  readonly caption: string
}

export function htmlTable({ head, rows, caption }: HtmlTable): Html {
  const line = (cells: readonly Content[]): Html => html`<tr>${cells.map((cell, i) => (i === 0 ? html`<th scope="row">${cell}</th>` : html`<td>${cell}</td>`))}</tr>
`
  return html`<div class="wide"><table><caption>${caption}</caption>
<thead><tr>${head.map((cell) => html`<th scope="col">${cell}</th>`)}</tr></thead>
<tbody>
${rows.map(line)}</tbody></table></div>
`
}

/** One word that is seen at a glance, and read without colours. */
export function badge(tone: 'good' | 'bad' | 'plain', text: string): Html {
  return html`<span class="badge ${tone}">${text}</span>`
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2024; --paper: #fff; --line: #d5d9de; --soft: #f4f6f8; --good: #0b6b3a; --bad: #a3161d; --plain: #5b6570 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14171a; --line: #363c43; --soft: #1d2226; --good: #6fd39d; --bad: #ff8d8d; --plain: #9aa5b1 } }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 90rem; padding: 2rem 1.25rem 4rem; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif }
h1 { font-size: 1.6rem; margin: 0 0 .25rem } h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem }
.wide { overflow-x: auto } table { border-collapse: collapse; width: 100% }
caption { text-align: left; color: var(--plain); padding: .25rem 0 .5rem }
th, td { border-bottom: 1px solid var(--line); padding: .45rem .75rem .45rem 0; text-align: left; vertical-align: top; font-weight: normal; min-width: 9rem; overflow-wrap: anywhere }
thead th { font-weight: 600; position: sticky; top: 0; background: var(--paper) }
.badge { font-weight: 600; white-space: nowrap } .good { color: var(--good) } .bad { color: var(--bad) } .plain { color: var(--plain) }
.quiet { color: var(--plain) } code { overflow-wrap: anywhere } details { margin: .2rem 0 } summary { cursor: pointer } ul { margin: .2rem 0; padding-left: 1.1rem }
`

/** The whole file. The policy in its head forbids what the markup never asks for: scripts and the network. */
export function page(title: string, ...body: readonly Content[]): string {
  return `${html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${title}</title>
<style>${{ markup: STYLE }}</style>
</head>
<body>
${body}
</body>
</html>`.markup}
`
}
