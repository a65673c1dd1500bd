import { expect, test } from 'vitest'
import type { Link } from '../../../src/broker/engine/link.ts'
import { openStalls } from '../../../src/broker/engine/stalls.ts'
import { BROKER_LIMITS } from '../../../src/limits.ts'

const { stalledMs } = BROKER_LIMITS

function reader(name: string) {
  const output = { waiting: 100, taken: 0 }
  return { name, output, link: { output, stalled: undefined } as unknown as Link }
}

/** With a clock that is set by hand, and what it has told. */
function watch() {
  const told: Link[] = []
  let [now, weighed] = [0, -1]
  const looker = openStalls({ clock: () => now, onStalled: (link) => told.push(link), weigh: (waiting) => void (weighed = waiting) })
  const sweep = (links: readonly Link[], at: number): number => {
    now = at
    looker.begin?.()
    for (const link of links) looker.look(link)
    expect(looker.end?.()).toEqual([])
    return weighed
  }
  return { told, sweep }
}

test('who takes nothing for too long is told of; who takes a byte now and then is not, and who has nothing to take is not', () => {
  const [stalled, slow, idle] = [reader('stalled'), reader('slow'), reader('idle')]
  idle.output.waiting = 0
  const links = [stalled.link, slow.link, idle.link]
  const stalls = watch()
  const { told } = stalls
  for (let now = 0; now <= stalledMs; now += 1_000) {
    stalls.sweep(links, now)
    slow.output.taken += 1
  }
  expect(told).toEqual([])
  expect(stalls.sweep(links, stalledMs + 1)).toBe(200)
  expect(told).toEqual([stalled.link])
})

test('the time begins anew when it takes something, and when nothing waits for it', () => {
  const stalls = watch()
  const { told } = stalls
  const [taking, emptied] = [reader('taking'), reader('emptied')]
  const links = [taking.link, emptied.link]
  stalls.sweep(links, 0)
  taking.output.taken = 1
  emptied.output.waiting = 0
  stalls.sweep(links, stalledMs)
  emptied.output.waiting = 100
  stalls.sweep(links, stalledMs + 1)
  stalls.sweep(links, 2 * stalledMs)
  expect(told).toEqual([])
  stalls.sweep(links, 2 * stalledMs + 2)
  expect(told).toEqual([taking.link, emptied.link])
})
