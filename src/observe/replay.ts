// What an audit log says happened after a certain record, for a registry that does not know it: its chain is followed from the
// start, so that nobody can slip a record in. It reads, and decides nothing.

import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { SallyportError } from '../core/errors.ts'
import { parseDeviceId, parseCaName, parseOperatorName, parseSerialNumber, parseTenantId, type CaName, type DeviceId, type EpochMs, type OperatorName, type SerialNumber, type TenantId } from '../core/ids.ts'
import { ROLES, type Role } from '../core/operator.ts'
import { PROFILE_NAMES, type ProfileName } from '../core/registry.ts'
import { DEVICE_STATES, type DeviceState } from '../core/device.ts'
import { REVOCATION_REASONS, type RevocationReason } from '../vocabulary.ts'
import { EMPTY_HEAD, followLine, type ChainHead } from './chain.ts'

/** What a registry has to be told again. */
export type Replayed =
  | { readonly kind: 'certificate-issued'; readonly at: EpochMs; readonly issuer: CaName; readonly serial: SerialNumber; readonly profile: ProfileName; readonly device?: DeviceId }
  | { readonly kind: 'certificate-revoked'; readonly at: EpochMs; readonly issuer: CaName; readonly serial: SerialNumber; readonly reason: RevocationReason }
  | { readonly kind: 'device-changed'; readonly at: EpochMs; readonly device: DeviceId; readonly state: DeviceState }
  | { readonly kind: 'device-added'; readonly at: EpochMs; readonly device: DeviceId }
  | { readonly kind: 'operator-added'; readonly at: EpochMs; readonly operator: OperatorName; readonly role: Role; readonly tenant?: TenantId }
  | { readonly kind: 'operator-role'; readonly at: EpochMs; readonly operator: OperatorName; readonly role: Role }
  | { readonly kind: 'operator-revoked'; readonly at: EpochMs; readonly operator: OperatorName }

/**
 * What stands in the log after `head`, in order. A last line without its end was never acknowledged. Throws 'audit-broken' when the
 * chain does not hold, or does not contain `head`: it is then the log of another home, or of another life of this one.
 */
export async function replayAfter(file: string, known: ChainHead): Promise<readonly Replayed[]> {
  const found: Replayed[] = []
  let head = EMPTY_HEAD
  const bad = (problem: string): SallyportError => new SallyportError('audit-broken', `${file}: line ${head.records + 1}: ${problem}.`, { fix: 'Use the log of the home that the backup was made of, unchanged.' })
  let before: string | undefined
  const follow = (line: string): void => {
    const followed = followLine(line, head)
    if ('problem' in followed) throw bad(followed.problem)
    head = followed.head
    if (head.records === known.records && head.hash !== known.hash) throw bad('it is not the record that the backup remembers')
    const replayed = head.records > known.records ? parseRecord(line) : undefined
    if (replayed !== undefined) found.push(replayed)
  }
  for await (const line of createInterface({ input: createReadStream(file), crlfDelay: Number.POSITIVE_INFINITY })) {
    if (before !== undefined) follow(before)
    before = line
  }
  if (before !== undefined && !('problem' in followLine(before, head))) follow(before)
  if (head.records < known.records) throw bad('it ends before the record that the backup remembers')
  return found
}

interface Written {
  readonly '@timestamp'?: string
  readonly event?: { readonly action?: string }
  readonly device?: { readonly id?: string }
  readonly x509?: { readonly serial_number?: string; readonly issuer?: { readonly common_name?: string } }
  readonly detail?: { readonly profile?: string; readonly revocation_reason?: string; readonly state?: string; readonly operator?: string; readonly role?: string; readonly tenant?: string }
}

/** The chain vouches for the line, so its form is ours; what does not parse all the same is nothing that can be replayed. */
function parseRecord(line: string): Replayed | undefined {
  const record = JSON.parse(line) as Written
  const at = Date.parse(String(record['@timestamp']))
  const device = valueOf(parseDeviceId(record.device?.id ?? ''))
  const issuer = valueOf(parseCaName(record.x509?.issuer?.common_name ?? ''))
  const serial = valueOf(parseSerialNumber(record.x509?.serial_number ?? ''))
  switch (record.event?.action) {
    case 'certificate-issued': {
      const profile = PROFILE_NAMES.find((name) => name === record.detail?.profile)
      if (issuer === undefined || serial === undefined || profile === undefined) return undefined
      return { kind: 'certificate-issued', at, issuer, serial, profile, ...(device === undefined ? {} : { device }) }
    }
    case 'certificate-revoked': {
      const reason = Object.keys(REVOCATION_REASONS).find((name): name is RevocationReason => name === record.detail?.revocation_reason) ?? 'unspecified'
      return issuer === undefined || serial === undefined ? undefined : { kind: 'certificate-revoked', at, issuer, serial, reason }
    }
    case 'device-changed': {
      const state = DEVICE_STATES.find((name) => name === record.detail?.state)
      return device === undefined || state === undefined ? undefined : { kind: 'device-changed', at, device, state }
    }
    case 'device-added':
      return device === undefined ? undefined : { kind: 'device-added', at, device }
    case 'operator-added':
    case 'operator-role':
    case 'operator-revoked':
      return operatorEvent(record.event.action, at, record.detail ?? {})
    default:
      return undefined
  }
}

function operatorEvent(kind: 'operator-added' | 'operator-role' | 'operator-revoked', at: EpochMs, detail: NonNullable<Written['detail']>): Replayed | undefined {
  const operator = valueOf(parseOperatorName(detail.operator ?? ''))
  const role = ROLES.find((each) => each === detail.role)
  if (operator === undefined) return undefined
  if (kind === 'operator-revoked') return { kind, at, operator }
  if (role === undefined) return undefined
  const tenant = detail.tenant === undefined ? undefined : valueOf(parseTenantId(detail.tenant))
  return kind === 'operator-role' ? { kind, at, operator, role } : { kind, at, operator, role, ...(tenant === undefined ? {} : { tenant }) }
}

function valueOf<T>(decision: { readonly allow: true; readonly value: T } | { readonly allow: false }): T | undefined {
  return decision.allow ? decision.value : undefined
}
