// What the console believes the API answers, laid against what the desk does answer: the compiler compares, and a field that is renamed
// is an error here and not an empty cell there.

import { expect, test } from 'vitest'
import type { Desk } from '../../src/core/desk.ts'
import type * as shapes from '../../src/console/shapes.ts'

type Answer<Name extends keyof Desk> = Desk[Name] extends (...args: never[]) => Promise<infer Value> ? Value : never
type Item<Name extends keyof Desk> = Answer<Name> extends readonly (infer Value)[] ? Value : Answer<Name> extends { readonly items: readonly (infer Value)[] } ? Value : never

/** What the API answers is at least what the console reads. */
type Fits<Shown, Answered extends Shown> = Answered

/** One line for each answer. */
export type Compared = [
  Fits<shapes.Device, Item<'devices'>>, Fits<shapes.DeviceWithCertificates, Answer<'device'>>, Fits<shapes.Certificate, Item<'certificates'>>,
  Fits<shapes.Overview, Answer<'overview'>>, Fits<shapes.ConnectionPage, Answer<'connections'>>, Fits<shapes.RefusalPage, Answer<'refusals'>>, Fits<shapes.RefusalDetail, Answer<'refusal'>>,
  Fits<shapes.DeviceSessions, Answer<'deviceSessions'>>, Fits<shapes.DeviceTopics, Answer<'deviceTopics'>>, Fits<shapes.CertificateLife, Item<'deviceTimeline'>>,
  Fits<shapes.Token, Item<'tokens'>>, Fits<shapes.TokenMade, Item<'createTokens'>>, Fits<shapes.Enrollment, Item<'enrollments'>>, Fits<shapes.OnRung, Item<'detections'>>,
  Fits<shapes.ExpiringPage, Answer<'expiring'>>, Fits<shapes.Policy, Answer<'policy'>>, Fits<shapes.PolicyLint, Answer<'lintFleet'>>, Fits<shapes.PolicyHistory, Answer<'policyHistory'>>, Fits<shapes.PolicyDiff, Answer<'diffPolicy'>>,
  Fits<shapes.Applied, Answer<'applyPolicy'>>, Fits<shapes.Explanation, Answer<'explain'>>, Fits<shapes.WhoCan, Answer<'whoCan'>>, Fits<shapes.Ca, Item<'cas'>>, Fits<shapes.CaRotation, Answer<'caRotation'>>,
  Fits<shapes.Rotated, Answer<'rotateCa'>>, Fits<shapes.AuditVerdict, Answer<'auditVerify'>>, Fits<shapes.ConsoleSession, Item<'consoleSessions'>>, Fits<shapes.Operator, Item<'operators'>>,
  Fits<shapes.OperatorCertified, Answer<'addOperator'>>, Fits<shapes.WebhookMade, Answer<'addWebhook'>>, Fits<shapes.WebhookRetried, Answer<'retryWebhook'>>, Fits<shapes.Webhook, Item<'webhooks'>>, Fits<shapes.WebhookAttempt, Answer<'testWebhook'>>, Fits<shapes.WebhookDeliveries, Answer<'webhookDeliveries'>>,
]

test('the comparison compares: another type does not fit', () => {
  // @ts-expect-error A device has no state of this name.
  const wrong: Fits<{ readonly state: 'nowhere' }, Item<'devices'>> | undefined = undefined
  expect(wrong).toBeUndefined()
})
