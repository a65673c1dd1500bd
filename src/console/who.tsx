// Who is signed in, and what their role lets them do. It decides what is offered and nothing else: the API judges every request,
// whatever a page offers.

import type { ComponentChildren, JSX } from 'preact'
import { isEnough, type Role } from './roles.ts'
import type { Session } from './shapes.ts'
import { makeStore, useStore } from './store.ts'

export const signedIn = makeStore<Session | undefined>(undefined)

export function useMay(least: Role): boolean {
  return isEnough(useStore(signedIn)?.role, least)
}

/** The tenant that an operator is kept to; undefined: all of them. */
export const useTenant = (): string | undefined => useStore(signedIn)?.tenant

/** What is there only for who has at least this role. */
export function For({ role, children }: { readonly role: Role; readonly children: ComponentChildren }): JSX.Element | null {
  return useMay(role) ? <>{children}</> : null
}
