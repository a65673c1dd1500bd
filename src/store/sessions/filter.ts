// Which levels a stored filter has. The filter was parsed before it was granted; a store that meets another one is told so.

import { SallyportError } from '../../core/errors.ts'
import { parseTopicFilter, type Levels } from '../../core/topic.ts'

/** The levels that a topic is compared with: for `$share/group/filter` those of `filter`. Throws 'internal' for what is no filter. */
export function filterLevels(filter: string): Levels {
  const parsed = parseTopicFilter(filter)
  if (!parsed.allow) throw new SallyportError('internal', `The filter ${JSON.stringify(filter)} cannot be kept: ${parsed.detail ?? 'it is no filter'}.`)
  return parsed.value.levels
}
