// The account of what a CA has handed out, across crashes: what clients hold, what was to be signed, what the registry records and
// which CRLs were seen. It says what is wrong, and knows neither processes nor files.

/** A certificate as the registry has it. */
export interface Recorded {
  readonly issuer: string
  readonly serial: string
  readonly profile: string
  readonly state: string
  readonly device: string | undefined
  readonly sha256: string | undefined
}

export interface HandedOut {
  /** Certificates that somebody outside has; `verifies`: openssl finds its way to the root. */
  readonly held: readonly { readonly device: string; readonly serial: string; readonly sha256: string; readonly verifies: boolean }[]
  /** Serial numbers with which somebody went to the signer. */
  readonly asked: readonly string[]
  readonly recorded: readonly Recorded[]
  /** How often a token was used, how often it may be, and the devices and keys that hold a certificate for it. */
  readonly tokens: readonly { readonly name: string; readonly uses: number; readonly usesMax: number; readonly holders: number }[]
  /** In the order in which they were seen; undefined: a file that openssl cannot read, or whose signature does not verify. */
  readonly crls: readonly { readonly name: string; readonly number: number | undefined; readonly sha256: string }[]
}

/** In force at some time: not a plan alone. */
const SIGNED_STATES: readonly string[] = ['issued', 'active', 'superseded', 'revoked']

export function wrongs(of: HandedOut): readonly string[] {
  return [...heldWrongs(of), ...serialWrongs(of), ...tokenWrongs(of), ...crlWrongs(of)]
}

function heldWrongs({ held, asked, recorded }: HandedOut): string[] {
  const bySerial = new Map(recorded.map((record) => [record.serial, record]))
  const wrong = held.flatMap(({ device, serial, sha256, verifies }) => {
    const record = bySerial.get(serial)
    if (record === undefined) return [`${device} holds ${serial}, which is not recorded`]
    if (!SIGNED_STATES.includes(record.state)) return [`${device} holds ${serial}, which is recorded as ${record.state}`]
    if (record.sha256 !== sha256) return [`${device} holds other bytes of ${serial} than are recorded`]
    if (record.device !== device) return [`${device} holds ${serial}, which is recorded for ${record.device ?? 'nobody'}`]
    return verifies ? [] : [`${device} holds ${serial}, which does not verify`]
  })
  return [...wrong, ...new Set(asked.filter((serial) => !bySerial.has(serial)).map((serial) => `${serial} was to be signed and is not recorded`))]
}

function serialWrongs({ held, recorded }: HandedOut): string[] {
  const bytes = new Map<string, Set<string>>()
  // Of whoever is not told apart by its bytes yet, by its place.
  for (const [i, { serial, sha256 }] of recorded.entries()) bytes.set(serial, (bytes.get(serial) ?? new Set()).add(sha256 ?? `planned ${i}`))
  const twiceRecorded = [...bytes].filter(([, of]) => of.size > 1).map(([serial]) => `${serial} is recorded twice`)
  const given = new Map<string, Set<string>>()
  for (const { serial, sha256 } of held) given.set(serial, (given.get(serial) ?? new Set()).add(sha256))
  return [...twiceRecorded, ...[...given].filter(([, of]) => of.size > 1).map(([serial]) => `${serial} was given to two certificates`)]
}

function tokenWrongs({ tokens }: HandedOut): string[] {
  return tokens.flatMap(({ name, uses, usesMax, holders }) => [
    ...(uses > usesMax ? [`token ${name} was used ${uses} times of ${usesMax}`] : []),
    ...(holders > usesMax ? [`token ${name}, good for ${usesMax}, has ${holders} certificates`] : []),
    ...(holders > uses ? [`token ${name} has ${holders} certificates and ${uses} uses`] : []),
  ])
}

function crlWrongs({ crls }: HandedOut): string[] {
  const last = new Map<string, { readonly number: number; readonly sha256: string }>()
  return crls.flatMap(({ name, number, sha256 }) => {
    if (number === undefined) return [`${name} is no whole CRL that verifies`]
    const before = last.get(name)
    last.set(name, { number, sha256 })
    if (before === undefined || number > before.number || (number === before.number && sha256 === before.sha256)) return []
    return [number === before.number ? `${name} has the number ${number} twice` : `${name} went back from ${before.number} to ${number}`]
  })
}
