// A row of bars as high as the numbers, in letters.

const BARS = '▁▂▃▄▅▆▇█'

export function sparkline(values: readonly number[]): string {
  const max = Math.max(1, ...values)
  return values.map((value) => BARS[Math.min(BARS.length - 1, Math.floor((value / max) * (BARS.length - 1)))] ?? '').join('')
}

/** How far it is, of so many letters. */
export function bar(done: number, of: number, letters: number): string {
  const full = of === 0 ? 0 : Math.floor((done / of) * letters)
  return '█'.repeat(full) + '░'.repeat(Math.max(0, letters - full))
}

/** 75 → 1:15 */
export function clockOf(seconds: number): string {
  const [whole, hours] = [Math.floor(seconds), Math.floor(seconds / 3_600)]
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${hours > 0 ? `${hours}:${two(Math.floor(whole / 60) % 60)}` : Math.floor(whole / 60)}:${two(whole % 60)}`
}
