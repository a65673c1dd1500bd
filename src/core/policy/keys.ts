// Which keys stand where in a policy, and what is said of one that is right elsewhere. The readers, the line form and the
// published schema agree because they all look here.

export const TOP_KEYS = ['version', 'identity', 'groups', 'grants', 'deny', 'onDeny', 'strictDeny', 'retained', 'willOnKick', 'quarantine'] as const
/** What may be long at the top of a file, and is read piece by piece. */
export const SECTION_KEYS: readonly string[] = ['identity', 'groups', 'grants', 'deny']
export const IDENTITY_KEYS = ['ca', 'device', 'idPattern', 'groups', 'register'] as const
export const QUARANTINE_KEYS = ['connect', 'publish', 'subscribe', 'will'] as const
export const GRANT_KEYS = ['id', 'to', 'when', ...QUARANTINE_KEYS] as const
export const DENY_KEYS = ['id', 'to', 'when', 'publish', 'subscribe', 'receive', 'onDeny'] as const
export const TARGET_KEYS = ['group', 'device', 'ca', 'tenant', 'attr'] as const
export const CONNECT_KEYS = ['clientId', 'sessions', 'sessionExpiryMax'] as const
export const SENT_KEYS = ['topic', 'qos', 'retain', 'maxBytes'] as const
export const RATE_KEYS = ['rate', 'burst'] as const
export const SUBSCRIBE_KEYS = ['topic', 'qos', 'wildcard', 'share'] as const
export const DENIED_KEYS = ['topic'] as const
export const CONDITION_KEYS = ['source', 'tls', 'time', 'notBefore', 'notAfter', 'certificateAge', 'attested', 'state'] as const
export const TIME_KEYS = ['days', 'from', 'to', 'zone'] as const

const each = (keys: readonly string[], where: string): Readonly<Record<string, string>> => Object.fromEntries(keys.map((key) => [key, where]))

const ELSEWHERE: Readonly<Record<string, string>> = {
  ...each(['version', 'identity', 'strictDeny', 'retained', 'willOnKick', 'quarantine'], 'it stands at the top of a file and is said once, for all.'),
  ...each([...SENT_KEYS, ...RATE_KEYS, ...SUBSCRIBE_KEYS], 'it stands with a topic, as in { topic: a, … }.'),
  ...each(CONDITION_KEYS, 'it is a condition, and stands under when.'),
  ...each(CONNECT_KEYS, 'it stands under connect.'),
  ...each(['group', 'device', 'ca', 'tenant', 'attr'], 'it says whom a rule is for, and stands under to.'),
}

export const NOT_IN_A_GRANT: Readonly<Record<string, string>> = {
  ...ELSEWHERE,
  onDeny: 'it stands at the top of a file, or in a deny rule.',
  receive: 'only a deny rule has it; what may be subscribed to may be received.',
}

export const NOT_IN_A_DENY: Readonly<Record<string, string>> = {
  ...ELSEWHERE,
  connect: 'a deny rule is about topics; who has no grant does not connect.',
  will: 'a denied publish denies the Will on that topic, too.',
}

export const NOT_IN_QUARANTINE: Readonly<Record<string, string>> = {
  ...NOT_IN_A_GRANT,
  id: 'its id is quarantine.',
  to: 'it is for every device that is quarantined.',
  when: 'its condition is the quarantine; a grant with the condition state: quarantined may have more.',
}
