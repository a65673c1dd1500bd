// Which levels a stored filter has. The filter was parsed before it was granted; a store that meets another one is told so.

import { SallyportError } from '../../core/errors.ts'
import { matches, parseTopicFilter, type Levels } from '../../core/topic.ts'

/** The levels that a topic is compared with: for `$share/group/filter` those of `filter`. Throws 'internal' for what is no filter. */
export function filterLevels(filter: string): Levels {
  const parsed = parseTopicFilter(filter)
  if (!parsed.allow) throw new SallyportError('internal', `The filter ${JSON.stringify(filter)} cannot be kept: ${parsed.detail ?? 'it is no filter'}.`)
  return parsed.value.levels
}

/** Of a session that holds `held` and no longer `lost`: is a message of this topic for the lost ones alone? */
export function lostTopics(lost: readonly string[], held: readonly string[]): (topic: string) => boolean {
  const [gone, left] = [lost.map(filterLevels), held.map(filterLevels)]
  const known = new Map<string, boolean>()
  return (topic) => {
    const before = known.get(topic)
    if (before !== undefined) return before
    const levels = topic.split('/')
    const isLost = gone.some((filter) => matches(filter, levels)) && !left.some((filter) => matches(filter, levels))
    known.set(topic, isLost)
    return isLost
  }
}
