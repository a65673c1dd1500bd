// A run second by second: three lines under each other, each with its own scale and its words.

import type { JSX } from 'preact'
import type { Second } from '../run-report.ts'
import { count } from '../words.ts'

const [WIDTH, HEIGHT] = [960, 56]
const LINES = [['connected', 'connected', 'good'], ['received', 'messages received per second', 'good'], ['refused', 'refused per second', 'bad']] as const

export function Course({ timeline }: { readonly timeline: readonly Second[] }): JSX.Element {
  const last = Math.max(1, ...timeline.map(({ second }) => second))
  return (
    <figure class="strip">
      {LINES.map(([name, words, tone]) => {
        const max = Math.max(1, ...timeline.map((second) => second[name]))
        const points = timeline.map((second) => `${(second.second / last) * WIDTH},${HEIGHT - (second[name] / max) * (HEIGHT - 2)}`).join(' ')
        return (
          <div key={name}>
            <svg class="course" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label={`${words}, at most ${max.toLocaleString('en-US')}`}><polyline points={points} class={tone} /></svg>
            <p class="quiet">{words}, at most {max.toLocaleString('en-US')}</p>
          </div>
        )
      })}
      <figcaption><span>start</span><span /><span>{count(last, 'second')}</span></figcaption>
    </figure>
  )
}
