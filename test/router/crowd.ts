// Sessions as the router sees them, and a router written without looking at the real one: a list of subscriptions that is
// asked one by one, with core/topic's `matches`.

import { matches, parseTopicFilter, type TopicFilter } from '../../src/core/topic.ts'
import type { SessionKey } from '../../src/core/ids.ts'
import type { Delivery, Route, Subscriber, SubscriptionOptions } from '../../src/core/router.ts'
import { valueOf } from '../core/facts.ts'

export interface Ear extends Subscriber {
  readonly name: string
  willing: boolean
}

export function ear(name: string, key = `default/${name}/${name}`): Ear {
  return { name, key: key as SessionKey, willing: true, isWilling() { return this.willing } }
}

export function filterOf(text: string): TopicFilter {
  return valueOf(parseTopicFilter(text))
}

export const PLAIN: SubscriptionOptions = { qos: 0, noLocal: false, retainAsPublished: false, identifier: undefined }

/** One delivery as a line: name, QoS, "r" for retain as published, identifiers in order of size. */
export function shown({ subscriber, qos, retainAsPublished, identifiers }: Delivery<Ear>): string {
  return `${subscriber.name} ${qos}${retainAsPublished ? 'r' : ''} [${identifiers.toSorted((a, b) => a - b).join(',')}]`
}

export function deliveriesOf(route: Route<Ear>): string[] {
  return route.deliveries.map(shown).toSorted()
}

export function turnsOf(route: Route<Ear>): string[] {
  return route.shared.map(({ filter, delivery }) => `${filter}: ${delivery === undefined ? 'nobody' : shown(delivery)}`).toSorted()
}

interface Row {
  readonly who: Ear
  readonly filter: TopicFilter
  options: SubscriptionOptions
}

/** Rows in the order in which they were made; those of a shared subscription in the order of their turns. */
export function naiveRouter() {
  let rows: Row[] = []
  const find = (who: Ear, text: string): Row | undefined => rows.find((row) => row.who === who && row.filter.text === text)

  function turn(text: string): string {
    const members = rows.filter((row) => row.filter.text === text)
    const at = members.findIndex(({ who }) => who.willing)
    const chosen = members[at]
    if (chosen === undefined) return `${text}: nobody`
    const asked = members.slice(0, at + 1)
    rows = [...rows.filter((row) => !asked.includes(row)), ...asked]
    const { qos, retainAsPublished, identifier } = chosen.options
    return `${text}: ${shown({ subscriber: chosen.who, qos, retainAsPublished, identifiers: identifier === undefined ? [] : [identifier] })}`
  }

  return {
    subscribe(who: Ear, filter: TopicFilter, options: SubscriptionOptions): void {
      const row = find(who, filter.text)
      if (row === undefined) rows.push({ who, filter, options })
      else row.options = options
    },
    unsubscribe(who: Ear, filter: TopicFilter): boolean {
      const row = find(who, filter.text)
      rows = rows.filter((other) => other !== row)
      return row !== undefined
    },
    remove(who: Ear): void {
      rows = rows.filter((row) => row.who !== who)
    },
    route(topic: string, publisher: SessionKey): { deliveries: string[]; turns: string[] } {
      const found = rows.filter(({ filter }) => matches(filter.levels, topic.split('/')))
      const plain = found.filter(({ who, filter, options }) => filter.share === undefined && !(options.noLocal && who.key === publisher))
      const deliveries = [...new Set(plain.map(({ who }) => who))].map((who) => {
        const options = plain.filter((row) => row.who === who).map((row) => row.options)
        return shown({
          subscriber: who,
          qos: options.some(({ qos }) => qos === 2) ? 2 : options.some(({ qos }) => qos === 1) ? 1 : 0,
          retainAsPublished: options.some(({ retainAsPublished }) => retainAsPublished),
          identifiers: options.flatMap(({ identifier }) => (identifier === undefined ? [] : [identifier])),
        })
      })
      const shared = new Set(found.filter(({ filter }) => filter.share !== undefined).map(({ filter }) => filter.text))
      return { deliveries: deliveries.toSorted(), turns: [...shared].map((text) => turn(text)).toSorted() }
    },
    get subscriptionCount(): number { return rows.length },
  }
}
