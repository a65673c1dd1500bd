// Names looked up as everybody on this machine looks them up (/etc/hosts included), and never many at once: the system's look-up takes a
// thread of the few that files and keys need, too, for as long as somebody else's name server likes.

import { lookup, type LookupAddress } from 'node:dns'

/** All addresses of a name. */
export type Resolve = (name: string, done: (failure: NodeJS.ErrnoException | null, addresses: readonly LookupAddress[]) => void) => void

export const systemNames: Resolve = (name, done) => {
  lookup(name, { all: true, verbatim: true }, (failure, addresses) => done(failure, addresses))
}

/** The others wait for their turn, up to a bound. */
export function fewAtOnce(resolve: Resolve, atOnce: number, waitingMax: number): Resolve {
  const waiting: (() => void)[] = []
  let running = 0
  const next = (): void => {
    if (running >= atOnce) return
    const begin = waiting.shift()
    if (begin === undefined) return
    running += 1
    begin()
  }
  return (name, done) => {
    if (waiting.length >= waitingMax) return done(new Error(`${name} was not looked up: too many names wait`), [])
    waiting.push(() => resolve(name, (failure, addresses) => {
      running -= 1
      next()
      done(failure, addresses)
    }))
    return next()
  }
}
