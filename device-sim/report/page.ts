// A report as one HTML file: no script, no network, readable in twenty years. What it shows may have come from a hostile server, so
// every text is escaped, and the page's own policy allows nothing to load or run.

/** Text that is HTML already. */
export interface Html {
  readonly html: string
}

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** Control characters have no place in a page. */
export function escape(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}]+/gu, ' ').replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
}

type Part = string | number | Html | readonly Part[]

function written(part: Part): string {
  if (typeof part === 'string') return escape(part)
  if (typeof part === 'number') return String(part)
  return 'html' in part ? part.html : part.map(written).join('')
}

/** A template whose values are escaped unless they are HTML themselves. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return { html: strings.reduce((text, string, index) => `${text}${written(parts[index - 1] ?? '')}${string}`) }
}

export interface TableCell {
  readonly text: string
  readonly tone?: 'good' | 'bad' | 'quiet' | undefined
}

export function htmlTable(head: readonly string[], rows: readonly (readonly (string | TableCell)[])[]): Html {
  const cell = (content: string | TableCell): Html => (typeof content === 'string' ? html`<td>${content}</td>` : html`<td class="${content.tone ?? ''}">${content.text}</td>`)
  return html`<div class="wide"><table><thead><tr>${head.map((text) => html`<th>${text}</th>`)}</tr></thead><tbody>${rows.map((row) => html`<tr>${row.map(cell)}</tr>`)}</tbody></table></div>`
}

const STYLE = `
:root{color-scheme:light dark;--page:#fbfaf8;--card:#fff;--ink:#1d2126;--quiet:#667078;--line:#e3e1dc;--good:#1a7f4b;--bad:#c0362c;--band:#f1efe9;
--s1:#2463b8;--s2:#d9822b;--s3:#6b8e23;--s4:#9b4f96;--s5:#2a9d8f;--s6:#8c6d46}
@media (prefers-color-scheme:dark){:root{--page:#14171a;--card:#1c2024;--ink:#e7e9ea;--quiet:#98a2aa;--line:#30363b;--good:#4cc38a;--bad:#ff7b6e;--band:#20252a;
--s1:#6ea8ff;--s2:#f2a65a;--s3:#a9c45b;--s4:#d490cf;--s5:#5fd0c3;--s6:#c9a877}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px;letter-spacing:-.01em}
h2{font-size:16px;margin:36px 0 10px}
p{margin:4px 0;max-width:75ch}
.quiet{color:var(--quiet)}.good{color:var(--good)}.bad{color:var(--bad);font-weight:600}
.verdict{display:inline-block;padding:2px 10px;border-radius:999px;font-size:13px;font-weight:600;color:#fff;background:var(--good);margin-left:10px;vertical-align:middle}
.verdict.no{background:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(126px,1fr));gap:12px;margin:20px 0}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.card b{display:block;font-size:22px;font-weight:600;font-variant-numeric:tabular-nums;letter-spacing:-.01em}
.card span{color:var(--quiet);font-size:13px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(460px,1fr));gap:16px}
figure{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 16px 8px}
figcaption{font-weight:600;font-size:14px}
figcaption span{font-weight:400;color:var(--quiet)}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--quiet);font:11px system-ui,sans-serif;font-variant-numeric:tabular-nums}
.grid{stroke:var(--line)}.band{fill:var(--band)}
.legend{display:flex;flex-wrap:wrap;gap:4px 14px;font-size:12px;color:var(--quiet);margin:4px 0 2px}
.legend i{display:inline-block;width:10px;height:10px;border-radius:2px;margin-right:5px}
.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px;background:var(--card);border:1px solid var(--line);border-radius:10px}
th,td{overflow-wrap:anywhere;text-align:left;padding:7px 12px;border-bottom:1px solid var(--line);vertical-align:top}
th{font-weight:600;font-size:12px;color:var(--quiet)}
tr:last-child td{border-bottom:0}
td.quiet{color:var(--quiet)}
footer{margin-top:40px;font-size:13px;color:var(--quiet)}
@media (max-width:560px){.charts{grid-template-columns:1fr}main{padding:20px 14px}}
@media print{body{background:#fff}figure,.card,table{break-inside:avoid}}
`

export function htmlPage(title: string, body: Html): string {
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"><meta name="referrer" content="no-referrer">
<title>${escape(title)}</title><style>${STYLE}</style></head>
<body><main>${body.html}</main></body></html>
`
}
