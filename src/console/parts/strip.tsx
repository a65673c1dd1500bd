// The last day in buckets: connections upwards, refusals downwards, each bar with its words for who cannot see it.

import type { JSX } from 'preact'
import type { Overview } from '../shapes.ts'
import { count, exact } from '../words.ts'
import { Time } from './shown.tsx'

const [WIDTH, HALF] = [960, 48]

const refusedIn = (refusals: Overview['strip']['buckets'][number]['refusals']): number => Object.values(refusals).reduce<number>((sum, number) => sum + (number ?? 0), 0)

export function Strip({ buckets, bucketMs, reach }: Overview['strip']): JSX.Element | null {
  const first = buckets[0]
  const last = buckets.at(-1)
  if (first === undefined || last === undefined) return null
  const connections = Math.max(1, ...buckets.map((bucket) => bucket.connections))
  const refusals = Math.max(1, ...buckets.map((bucket) => refusedIn(bucket.refusals)))
  const width = WIDTH / buckets.length
  const total = buckets.reduce((sum, bucket) => sum + bucket.connections, 0)
  const refused = buckets.reduce((sum, bucket) => sum + refusedIn(bucket.refusals), 0)
  const height = (number: number, max: number): number => (number === 0 ? 0 : Math.max(2, (number / max) * HALF))
  return (
    <figure class="strip">
      <svg viewBox={`0 0 ${WIDTH} ${2 * HALF + 2}`} preserveAspectRatio="none" role="img" aria-label={`${count(total, 'connection')} and ${count(refused, 'refusal')} in the last 24 hours`}>
        <line x1="0" x2={WIDTH} y1={HALF + 1} y2={HALF + 1} class="axis" />
        {buckets.map((bucket, index) => {
          const down = refusedIn(bucket.refusals)
          return (
            <g key={bucket.at}>
              <title>{`${exact(bucket.at)}, ${Math.round(bucketMs / 60_000)} minutes: ${count(bucket.connections, 'connection')}, ${count(down, 'refusal')}`}</title>
              <rect x={index * width} y={0} width={width} height={2 * HALF} class="hit" />
              <rect x={index * width + 1} y={HALF - height(bucket.connections, connections)} width={Math.max(1, width - 2)} height={height(bucket.connections, connections)} class="up" />
              <rect x={index * width + 1} y={HALF + 2} width={Math.max(1, width - 2)} height={height(down, refusals)} class="down" />
            </g>
          )
        })}
      </svg>
      <figcaption><Time at={first.at} /><span><span class="state good"><span aria-hidden="true">●</span> {count(total, 'connection')}</span> <span class="state bad"><span aria-hidden="true">■</span> {count(refused, 'refusal')}</span>{reach.reading ? ' (the log is being read)' : ''}</span><span>now</span></figcaption>
    </figure>
  )
}
