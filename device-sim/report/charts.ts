// Charts as SVG: lines over the seconds of a run, and bars that stand on each other. Drawn here, so that a report needs nothing.

import { html, type Html } from './page.ts'

export interface Series {
  readonly name: string
  /** One value for each second; undefined where there was none. */
  readonly values: readonly (number | undefined)[]
}

export interface Band {
  readonly name: string
  readonly from: number
  readonly to: number
}

export interface Chart {
  readonly title: string
  readonly unit: string
  readonly series: readonly Series[]
  /** The phases, as bands behind it. */
  readonly bands: readonly Band[]
  readonly kind: 'lines' | 'bars'
  readonly write?: (value: number) => string
}

const SIZE = { width: 520, height: 190, left: 46, right: 10, top: 16, bottom: 22 } as const
const INNER = { width: SIZE.width - SIZE.left - SIZE.right, height: SIZE.height - SIZE.top - SIZE.bottom } as const
const COLOURS = 6
const TICKS = 4

const colour = (index: number): string => `var(--s${(index % COLOURS) + 1})`
const digits = (value: number): string => (value >= 10_000 ? `${Number((value / 1_000).toFixed(1))}k` : String(Number(value.toPrecision(3))))

/** Round values from 0 to at least this one: steps of 1, 2 or 5 times a power of ten. */
export function ticksTo(max: number): readonly number[] {
  if (max <= 0) return [0, 1]
  const least = max / TICKS
  const power = 10 ** Math.floor(Math.log10(least))
  const step = ([1, 2, 5, 10].find((each) => each * power >= least) ?? 10) * power
  return Array.from({ length: Math.ceil(max / step) + 1 }, (_, tick) => tick * step)
}

export function chart({ title, unit, series, bands, kind, write = digits }: Chart): Html {
  const seconds = Math.max(1, ...series.map(({ values }) => values.length))
  const sums = Array.from({ length: seconds }, (_, second) => series.reduce((sum, { values }) => sum + (values[second] ?? 0), 0))
  const ticks = ticksTo(kind === 'bars' ? Math.max(...sums) : Math.max(0, ...series.flatMap(({ values }) => values.filter((value) => value !== undefined))))
  const top = ticks.at(-1) ?? 1
  const x = (second: number): number => SIZE.left + (INNER.width * second) / seconds
  const y = (value: number): number => SIZE.top + INNER.height * (1 - value / top)
  const at = (value: number): string => value.toFixed(1)
  const grid = ticks.map((value) => html`<line class="grid" x1="${SIZE.left}" x2="${SIZE.width - SIZE.right}" y1="${at(y(value))}" y2="${at(y(value))}"/><text x="${SIZE.left - 6}" y="${at(y(value) + 4)}" text-anchor="end">${write(value)}</text>`)
  const behind = bands.map(({ name, from, to }, index) => html`${index % 2 === 0 ? html`<rect class="band" x="${at(x(from))}" y="${SIZE.top}" width="${at(Math.max(0, x(Math.min(to, seconds)) - x(from)))}" height="${INNER.height}"/>` : ''}${bandName(name, x(from), x(to) - x(from))}`)
  const marks = kind === 'lines' ? series.map((each, index) => line(each, index, x, y)) : bars(series, seconds, x, y)
  return html`<figure><figcaption>${title} <span>${unit}</span></figcaption>${legend(series)}<svg viewBox="0 0 ${SIZE.width} ${SIZE.height}" role="img" aria-label="${`${title}, ${unit}, over ${seconds} seconds`}">${behind}${grid}${marks}${timeAxis(seconds, x)}</svg></figure>`
}

const CHAR_WIDTH = 5.6

/** A name that would run into the next one is left out; the phases are listed on the page. */
function bandName(name: string, left: number, width: number): Html {
  return name.length * CHAR_WIDTH > width ? html`` : html`<text x="${(left + 4).toFixed(1)}" y="${SIZE.top - 4}">${name}</text>`
}

function legend(series: readonly Series[]): Html {
  if (series.length < 2) return html``
  return html`<div class="legend">${series.map(({ name }, index) => html`<span><i style="background:${colour(index)}"></i>${name}</span>`)}</div>`
}

function line({ name, values }: Series, index: number, x: (second: number) => number, y: (value: number) => number): Html {
  let path = ''
  let pen = 'M'
  for (const [second, value] of values.entries()) {
    if (value === undefined) {
      pen = 'M'
      continue
    }
    path += `${pen}${x(second + 0.5).toFixed(1)} ${y(value).toFixed(1)}`
    pen = 'L'
  }
  return html`<path d="${path}" fill="none" stroke="${colour(index)}" stroke-width="1.8" stroke-linejoin="round" stroke-linecap="round"><title>${name}</title></path>`
}

function bars(series: readonly Series[], seconds: number, x: (second: number) => number, y: (value: number) => number): readonly Html[] {
  const width = Math.max(0.6, (INNER.width / seconds) * 0.82)
  const marks: Html[] = []
  for (let second = 0; second < seconds; second++) {
    let below = 0
    for (const [index, { name, values }] of series.entries()) {
      const value = values[second] ?? 0
      if (value === 0) continue
      marks.push(html`<rect x="${x(second).toFixed(1)}" y="${y(below + value).toFixed(1)}" width="${width.toFixed(1)}" height="${(y(below) - y(below + value)).toFixed(1)}" fill="${colour(index)}"><title>${`${second} s: ${name} ${value}`}</title></rect>`)
      below += value
    }
  }
  return marks
}

function timeAxis(seconds: number, x: (second: number) => number): readonly Html[] {
  const step = [1, 2, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 14_400].find((each) => seconds / each <= 8) ?? 28_800
  return Array.from({ length: Math.floor(seconds / step) + 1 }, (_, index) => index * step).map((second) => html`<text x="${x(second).toFixed(1)}" y="${SIZE.height - 6}" text-anchor="middle">${second < 120 || step < 60 ? `${second} s` : `${second / 60} min`}</text>`)
}
