// Webhooks over an open home: the part of the desk about them, and in a running server the telling itself. Which there are is in the
// registry, the secret of each in a file of its own beside the other secrets; a removed one ends at once.

import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { isIP } from 'node:net'
import path from 'node:path'
import { readSecretFile, writeSecretFile } from './ca/key-file.ts'
import { CONFIG_LIMITS } from './config-limits.ts'
import { readPlainFile } from './config/plain-file.ts'
import type { Actor } from './core/audit.ts'
import { deny } from './core/decision.ts'
import { failureOf } from './core/errors.ts'
import type { Attention } from './core/feed-desk.ts'
import type { EpochMs } from './core/ids.ts'
import type { Registry } from './core/registry.ts'
import { parseWebhookUrl, type WebhookRecord, type WebhookRules } from './core/webhook.ts'
import type { NewWebhook, WebhookDesk, WebhookMade, WebhookRetried, WebhookShown } from './core/webhook-desk.ts'
import { WEBHOOK_LIMITS } from './feed-limits.ts'
import type { AuditLog } from './observe/audit-log.ts'
import type { DeliveryStore } from './store/sqlite/webhooks.ts'
import { openAddresses } from './webhooks/address.ts'
import { openAttempts, type Attempts } from './webhooks/attempts.ts'
import { openHook, type Hook, type SavedLog } from './webhooks/hook.ts'
import { parseSecret, recordMessage, secretText, testMessage } from './webhooks/message.ts'
import { fewAtOnce, systemNames, type Resolve } from './webhooks/names.ts'
import { openSender, type Sender } from './webhooks/send.ts'

export interface WebhooksPorts {
  readonly registry: Pick<Registry, 'commit' | 'webhooks'> & { readonly deliveries: DeliveryStore }
  readonly audit: SavedLog & Pick<AuditLog, 'settle'>
  /** Of the secrets. */
  readonly folder: string
  readonly rules: () => WebhookRules
  readonly clock: () => EpochMs
  readonly warn: (facts: Readonly<Record<string, unknown>>, message: string) => void
  /** A server tells; a command only looks after. */
  readonly tells: boolean
  readonly resolve?: Resolve
  readonly chance?: () => number
}

export interface Webhooks extends AsyncDisposable {
  deskFor(actor: Actor): WebhookDesk
  /** Those that do not arrive. */
  attention(): readonly Attention[]
}

interface Open {
  readonly webhook: WebhookRecord
  readonly sender: Sender
  readonly attempts: Attempts
  /** Of a server. */
  readonly hook: Hook | undefined
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/
const MADE_NAME_BYTES = 4
const UNREADABLE = 'its secret or webhooks.ca cannot be read'

export function openWebhooks(ports: WebhooksPorts): Webhooks {
  const { registry, audit, clock } = ports
  const open = new Map<string, Open>()
  const openedAt = clock()
  const stopping = new AbortController()
  const names = fewAtOnce(ports.resolve ?? systemNames, WEBHOOK_LIMITS.namesAtOnce, WEBHOOK_LIMITS.namesWaitingMax)
  // One after the other: two that make one of the same name at once would write one secret, and show two.
  let changing: Promise<unknown> = Promise.resolve()
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const done = changing.then(work)
    changing = done.catch(() => {})
    return done
  }
  const secretFile = (name: string): string => path.join(ports.folder, `${name}.secret`)
  for (const webhook of registry.webhooks()) begin(webhook)

  function begin(webhook: WebhookRecord): void {
    const { caFile } = ports.rules()
    try {
      const secret = parseSecret(readSecretFile(secretFile(webhook.name)).toString('utf8'))
      const sender = openSender({ addresses: () => openAddresses(ports.rules().allow), ca: caFile === undefined ? undefined : [readPlainFile(caFile, CONFIG_LIMITS.pemBytesMax)], resolve: names })
      const attempts = openAttempts({ url: webhook.url, secret, sender, clock })
      const hook = ports.tells ? openHook({ webhook, attempts, log: audit, memory: registry.deliveries, clock, chance: ports.chance ?? Math.random, warn: ports.warn }) : undefined
      open.set(webhook.name, { webhook, sender, attempts, hook })
    } catch (cause) {
      // One that cannot be signed for is not told, and keeps nobody from being served.
      ports.warn({ webhook: webhook.name, error: cause instanceof Error ? cause.message : 'unknown' }, `a webhook cannot be told: ${UNREADABLE}`)
    }
  }

  async function end(name: string): Promise<void> {
    const ended = open.get(name)
    open.delete(name)
    await ended?.hook?.[Symbol.asyncDispose]()
    ended?.sender[Symbol.dispose]()
  }

  function known(name: string): WebhookRecord {
    const webhook = registry.webhooks().find((each) => each.name === name)
    if (webhook === undefined) throw failureOf(deny('webhook-not-found', name))
    return webhook
  }

  function opened(name: string): Open {
    const found = open.get(known(name).name)
    if (found === undefined) throw failureOf(deny('webhook-not-found', `${name}: ${UNREADABLE}`))
    return found
  }

  function shown({ name, url, kinds, createdAt }: WebhookRecord): WebhookShown {
    const isOpen = open.has(name)
    const hook = open.get(name)?.hook
    const failing = isOpen ? hook?.failing : { since: openedAt, attempts: 0, because: UNREADABLE }
    const told = (hook?.place ?? registry.deliveries.place(name))?.number ?? 0
    return { name, url: new URL(url).search === '' ? url : `${withoutQuery(url)}?…`, kinds, createdAt, told, behind: Math.max(0, audit.saved.number - told), dead: registry.deliveries.deadCount(name), ...(failing === undefined ? {} : { failing }) }
  }

  async function add({ name = randomBytes(MADE_NAME_BYTES).toString('hex'), url, kinds }: NewWebhook, actor: Actor): Promise<WebhookMade> {
    if (!NAME.test(name)) throw failureOf(deny('request-invalid', 'a name is 1 to 64 of A-Z a-z 0-9 _ - and begins with a letter or digit'))
    const parsed = parseWebhookUrl(url)
    if (!parsed.allow) throw failureOf(parsed)
    // A name is looked at when it is connected to; an address is known now.
    const host = new URL(parsed.value).hostname.replaceAll(/^\[|\]$/g, '')
    const judged = isIP(host) === 0 ? undefined : openAddresses(ports.rules().allow).judge(host)
    if (judged?.allow === false) throw failureOf(judged)
    if (registry.webhooks().some((each) => each.name === name)) throw failureOf(deny('webhook-exists', name))
    // It is told what comes from now on: what has happened by now is behind its place.
    audit.settle()
    const secret = secretText(randomBytes(WEBHOOK_LIMITS.secretBytes))
    const webhook: WebhookRecord = { name, url: parsed.value, kinds, createdAt: clock(), from: audit.saved }
    writeSecretFile(secretFile(name), `${secret}\n`)
    const committed = await registry.commit([{ kind: 'webhook-added', webhook }], [], [{ kind: 'webhook-added', at: clock(), webhook: name, url: withoutQuery(parsed.value), actor }])
    if (!committed.allow) {
      rmSync(secretFile(name), { force: true })
      throw failureOf(committed)
    }
    begin(webhook)
    return { webhook: shown(webhook), secret }
  }

  async function remove(name: string, actor: Actor): Promise<void> {
    known(name)
    const committed = await registry.commit([{ kind: 'webhook-removed', name, at: clock() }], [], [{ kind: 'webhook-removed', at: clock(), webhook: name, actor }])
    if (!committed.allow) throw failureOf(committed)
    await end(name)
    rmSync(secretFile(name), { force: true })
  }

  async function retry(name: string, letter: number | undefined): Promise<WebhookRetried> {
    const { attempts } = opened(name)
    const began = performance.now()
    let delivered = 0
    let because: string | undefined
    for (let after = letter === undefined ? 0 : letter - 1, more = true; more && because === undefined; ) {
      const page = registry.deliveries.dead(name, after).filter(({ id }) => letter === undefined || id === letter)
      if (letter !== undefined && page.length === 0) throw failureOf(deny('webhook-not-found', `${name} has no letter ${letter}`))
      for (const dead of page) {
        const { outcome } = await attempts.send(recordMessage(name, dead.number, dead.line), dead.attempts + 1, stopping.signal)
        if (outcome.kind !== 'delivered') {
          because = outcome.because
          break
        }
        registry.deliveries.forget(dead.id)
        delivered += 1
        after = dead.id
        if (performance.now() - began > WEBHOOK_LIMITS.retryRequestMs && registry.deliveries.deadCount(name) > 0) {
          because = 'it takes its time: ask again for the rest'
          break
        }
      }
      more = letter === undefined && page.length > 0
    }
    return { delivered, left: registry.deliveries.deadCount(name), ...(because === undefined ? {} : { because }) }
  }

  return {
    deskFor: (actor) => ({
      webhooks: () => Promise.resolve(registry.webhooks().map(shown)),
      addWebhook: (webhook) => alone(() => add(webhook, actor)),
      removeWebhook: (name) => alone(() => remove(name, actor)),
      testWebhook: async (name) => (await opened(name).attempts.send(testMessage(name, clock()), 1, stopping.signal)).seen,
      webhookDeliveries: async (name) => ({ recent: [...(open.get(known(name).name)?.attempts.recent ?? [])], dead: registry.deliveries.dead(name, 0).map(({ line: _line, ...rest }) => rest) }),
      retryWebhook: (name, letter) => retry(name, letter),
    }),
    attention() {
      const bad = registry.webhooks().map(shown).filter(({ failing, dead }) => failing !== undefined || dead > 0)
      const [first] = bad
      if (first === undefined) return []
      const says = first.failing === undefined ? `${first.dead} messages of ${first.name} were given up` : `${first.name} takes nothing: ${first.failing.because}`
      return [{ kind: 'webhooks', count: bad.length, sentence: `${says}${bad.length === 1 ? '' : `, and ${bad.length - 1} more webhooks wait`}.`, command: 'sallyport webhook list' }]
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await Promise.all([...open.keys()].map(end))
    },
  }
}

/** Receivers take tokens there: who watches, and who reads the audit log, is not told those. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url)
  return `${origin}${pathname}`
}

/** Of a desk that was opened without: there are none, and none can be made. */
export const NO_WEBHOOKS: WebhookDesk = {
  webhooks: () => Promise.resolve([]),
  addWebhook: () => Promise.reject(failureOf(deny('webhooks-limit', 'none here'))),
  removeWebhook: (name) => Promise.reject(failureOf(deny('webhook-not-found', name))),
  testWebhook: (name) => Promise.reject(failureOf(deny('webhook-not-found', name))),
  webhookDeliveries: (name) => Promise.reject(failureOf(deny('webhook-not-found', name))),
  retryWebhook: (name) => Promise.reject(failureOf(deny('webhook-not-found', name))),
}
