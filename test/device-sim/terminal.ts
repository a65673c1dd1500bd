// As much of a terminal as a test needs: letters, line ends, the cursor up, erase below, the cursor hidden and shown. It breaks long
// lines, and breaks them anew when it becomes narrower, as the terminals of most people do.

interface Row {
  text: string
  /** It goes on in the next one. */
  wraps: boolean
}

export function openTerminal(columns: number) {
  let rows: Row[] = [{ text: '', wraps: false }]
  let held = ''
  let [row, column, width, cursor, colours] = [0, 0, columns, true, 0]
  const at = (index: number): Row => (rows[index] ??= { text: '', wraps: false })
  const put = (letter: string): void => {
    if (column === width) {
      at(row).wraps = true
      row += 1
      column = 0
    }
    const here = at(row)
    here.text = here.text.slice(0, column).padEnd(column) + letter + here.text.slice(column + 1)
    column += 1
  }
  return {
    write(chunk: string) {
      // A sequence may come in two pieces.
      // oxlint-disable-next-line no-control-regex
      const begun = /\u001B(\[[?\d;]*)?$/.exec(held + chunk)?.[0] ?? ''
      const text = (held + chunk).slice(0, -begun.length || undefined)
      held = begun
      // oxlint-disable-next-line no-control-regex
      for (const [piece = '', code, letter] of text.matchAll(/\u001B\[([?\d;]*)([A-Za-z])|[^]/g)) {
        if (letter === 'A') row = Math.max(0, row - Number(code === '' ? 1 : code))
        else if (letter === 'J') {
          rows = rows.slice(0, row + 1)
          at(row).text = at(row).text.slice(0, column)
          at(row).wraps = false
        } else if (letter === 'l' || letter === 'h') cursor = letter === 'h'
        else if (letter === 'm') colours += 1
        else if (piece === '\r') column = 0
        else if (piece === '\n') {
          row += 1
          column = 0
          at(row)
        } else if (letter === undefined) put(piece)
      }
    },
    narrow(to: number) {
      const whole = rows.reduce<string[]>((lines, { text }, i) => (rows[i - 1]?.wraps === true ? [...lines.slice(0, -1), `${lines.at(-1) ?? ''}${text}`] : [...lines, text]), [])
      rows = whole.flatMap((line) => {
        const parts = Math.max(1, Math.ceil(line.length / to))
        return Array.from({ length: parts }, (_, i) => ({ text: line.slice(i * to, (i + 1) * to), wraps: i < parts - 1 }))
      })
      row = rows.length - 1
      width = to
    },
    get lines() {
      return rows.map(({ text }) => text.trimEnd())
    },
    get cursor() {
      return cursor
    },
    get colours() {
      return colours
    },
  }
}
