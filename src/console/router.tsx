// Where the reader is: the path below /console and its query. Everything that is a thing has an address; back works; filters
// live in the address.

import type { ComponentChildren, JSX } from 'preact'
import { makeStore, useStore } from './store.ts'

const BASE = '/console'

export interface Place {
  /** '/devices/pump-7' */
  readonly path: string
  readonly query: URLSearchParams
}

function read(): Place {
  const path = location.pathname.slice(BASE.length)
  return { path: path === '' ? '/' : path, query: new URLSearchParams(location.search) }
}

const place = makeStore(read())
addEventListener('popstate', () => place.set(read()))

export const usePlace = (): Place => useStore(place)

export function go(to: string, how: 'push' | 'replace' = 'push'): void {
  const url = `${BASE}${to}`
  if (how === 'replace') history.replaceState(null, '', url)
  else history.pushState(null, '', url)
  place.set(read())
  if (how === 'push') scrollTo(0, 0)
}

/** The parts of a path that stand where the pattern has a colon; undefined where it does not fit. */
export function match(pattern: string, path: string): Readonly<Record<string, string>> | undefined {
  const [wanted, given] = [pattern.split('/'), path.replace(/(.)\/$/, '$1').split('/')]
  if (wanted.length !== given.length) return undefined
  const found: Record<string, string> = {}
  for (const [index, part] of wanted.entries()) {
    const actual = given[index] ?? ''
    if (part.startsWith(':')) found[part.slice(1)] = decoded(actual)
    else if (part !== actual) return undefined
  }
  return found
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** The query with these changes; what is empty is taken out. */
export function withQuery(query: URLSearchParams, change: Readonly<Record<string, string>>): string {
  const next = new URLSearchParams(query)
  for (const [name, value] of Object.entries(change)) {
    if (value === '') next.delete(name)
    else next.set(name, value)
  }
  return next.size === 0 ? '' : `?${next.toString()}`
}

export interface LinkProps {
  readonly to: string
  readonly children: ComponentChildren
  readonly class?: string
  readonly current?: boolean
  /** It stands in a row: j and k go from one to the next. */
  readonly row?: boolean
}

/** A link within the console: an ordinary one for who opens it in another tab. */
export function Link({ to, children, class: name, current = false, row = false }: LinkProps): JSX.Element {
  const follow = (event: MouseEvent): void => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return
    event.preventDefault()
    go(to)
  }
  return <a href={`${BASE}${to}`} class={name} onClick={follow} aria-current={current ? 'page' : undefined} data-row={row ? '' : undefined}>{children}</a>
}

export const devicePath = (id: string): string => `/devices/${encodeURIComponent(id)}`
