// The keys: / to search, j and k from row to row, g and a letter to a page, ? for this list. They keep quiet where somebody types.

export const KEYS: readonly (readonly [string, string])[] = [
  ['/', 'Search'], ['j  k', 'Next and previous row'], ['Enter', 'Open the row'], ['Esc', 'Close, or leave the field'], ['?', 'These keys'],
  ['g o', 'Overview'], ['g d', 'Devices'], ['g n', 'Connections'], ['g r', 'Refusals'], ['g e', 'Enrollment'], ['g p', 'Policy'], ['g c', 'Certificates'], ['g t', 'Reports'], ['g a', 'Audit'], ['g s', 'Settings'],
]

const PLACES: Readonly<Record<string, string>> = { o: '/', d: '/devices', n: '/connections', r: '/refusals', e: '/enrollment', p: '/policy', c: '/certificates', t: '/reports', a: '/audit', s: '/settings' }
/** After g: who waits longer has thought better of it. */
const CHORD_MS = 1_500

export interface KeysPorts {
  readonly help: () => void
  readonly go: (to: string) => void
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
}

/** Returns the way to take them away. */
export function installKeys({ help, go }: KeysPorts): () => void {
  let chordAt = -Infinity
  const onKey = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    if (isTyping(event.target)) {
      if (event.key === 'Escape' && event.target instanceof HTMLElement) event.target.blur()
      return
    }
    if (document.querySelector('dialog[open]') !== null) return
    const place = PLACES[event.key]
    if (event.timeStamp - chordAt < CHORD_MS && place !== undefined) {
      chordAt = -Infinity
      go(place)
    } else if (event.key === 'g') chordAt = event.timeStamp
    else if (event.key === 'j') step(1)
    else if (event.key === 'k') step(-1)
    else if (event.key === '?') help()
    else if (event.key === '/') document.getElementById('search')?.focus()
    else return
    event.preventDefault()
  }
  addEventListener('keydown', onKey)
  return () => removeEventListener('keydown', onKey)
}

function step(by: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>('#content [data-row]')]
  const at = rows.findIndex((row) => row === document.activeElement)
  const next = rows[at < 0 ? 0 : at + by]
  next?.focus()
  next?.scrollIntoView({ block: 'nearest' })
}
