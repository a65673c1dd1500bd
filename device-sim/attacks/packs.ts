// The six attacks that mutual TLS exists to stop, each as a story: what the attacker has, what he tries one after the other, and what
// stops him. Each step is shown by cases of the catalogue; how these come out is not known here.

import type { CaseId } from './catalogue.ts'

export interface PackStep {
  readonly tries: string
  readonly cases: readonly CaseId[]
  readonly stops: string
}

export interface Pack {
  readonly title: string
  readonly has: string
  readonly steps: readonly PackStep[]
  /** What is left to him all the same, and who must do something about it. */
  readonly left: string
}

const PACKS = {
  'on-path': {
    title: 'somebody between device and broker', has: 'the wire: every byte passes him, and he can change it. He holds no key of either side.',
    steps: [
      { tries: 'He ends TLS on both sides: to the device he is a server, to the broker a device.', cases: ['D06'], stops: 'The device asks for a certificate of its own CA and for the right name; the broker for one whose key he would have to prove. Neither is spoken to.' },
      { tries: 'His CA looks like the real one: the same name, the same key id.', cases: ['D02', 'T04'], stops: 'Trust hangs on the key of the CA, and on nothing that can be copied.' },
      { tries: 'He passes the bytes on, keeps them, flips bits, repeats, leaves out.', cases: ['D07'], stops: 'Every record is sealed and numbered: nothing can be read, and what was changed ends the session.' },
      { tries: 'He talks both into something older.', cases: ['D08', 'T39', 'T40'], stops: 'Nothing older than TLS 1.2 and nothing without forward secrecy is spoken, and a changed handshake does not fit its own signature.' },
    ],
    left: 'He can cut the wire. The broker publishes the Will of a device that is cut off.',
  },
  'spoofing': {
    title: 'somebody who says that he is a device of ours', has: 'the names of devices, their certificates (they are public), and a CA of his own.',
    steps: [
      { tries: 'He makes a certificate with the name of a device.', cases: ['T02', 'T03', 'T04'], stops: 'A name is worth what its signature is worth, and he has no key of a CA that is trusted.' },
      { tries: 'He shows the certificate of the device itself, which he has seen somewhere.', cases: ['T36', 'T37'], stops: 'The handshake asks for a signature by its key, over this very handshake.' },
      { tries: 'He has a certificate of a factory that we trust, and writes the name of another device into it.', cases: ['I14', 'I13'], stops: 'Each device belongs to the CA that certified it first.' },
      { tries: 'He has a device of his own, and calls himself another: as a client id, as a user name, in topics.', cases: ['Q01', 'Q06', 'Q09'], stops: 'What a client says fills in nothing: the certificate, by way of the registry, says who speaks and where.' },
    ],
    left: 'Whoever holds the key of a device is that device, until somebody revokes it: keep keys in hardware.',
  },
  'credential-stuffing': {
    title: 'somebody with a list of passwords from elsewhere', has: 'user names and passwords by the million, and all the time in the world.',
    steps: [
      { tries: 'He connects without a certificate, with name and password.', cases: ['T01', 'Q06'], stops: 'Without a certificate there is no MQTT: not one password is even read.' },
      { tries: 'He tries them at the enrollment door, where a token is a secret like a password.', cases: ['E05'], stops: 'A token has 130 random bits and is in no list; whoever guesses waits longer each time, and nobody else does.' },
      { tries: 'He has a token that was on a sheet of paper.', cases: ['E03', 'E04'], stops: 'It was good once; of fifty at the same time one gets the certificate.' },
    ],
    left: 'A token that is read before its device comes is good for him. The device is then refused, and the operator sees it: token-used-up.',
  },
  'brute-force': {
    title: 'somebody who tries everything', has: 'many computers and many addresses.',
    steps: [
      { tries: 'He computes keys: short ones, well-known ones, of exponents that are too small.', cases: ['T31', 'T32', 'E10'], stops: 'A key that can be computed is not certified, and not let in when somebody else has certified it.' },
      { tries: 'He guesses tokens, one after the other, from one address and from many.', cases: ['E05', 'E21'], stops: 'His address waits; the token is never locked, and its device still gets in.' },
      { tries: 'He opens connections until there is no place for anybody else.', cases: ['T46', 'T47', 'Q30'], stops: 'Every unfinished handshake has an end, every address a number.' },
      { tries: 'With a device of his own he connects, publishes and subscribes without end.', cases: ['Q37', 'Q31', 'Q35'], stops: 'Rates and quotas are those of one device: its neighbours behind the same address do not notice.' },
    ],
    left: 'A line that is full is full: against that stands only who runs the network.',
  },
  'phishing': {
    title: 'somebody who is handed secrets, or steals them', has: 'a false server, a stolen certificate, at last a stolen device with its key.',
    steps: [
      { tries: 'He sets up a false broker and waits for devices to tell him everything.', cases: ['D01', 'D03', 'D05'], stops: 'A device speaks to a server of its own CA and of the right name, or not at all; and it has no password that it could hand over.' },
      { tries: 'He has got the certificate of a device.', cases: ['T36'], stops: 'It is public. What counts is the key, and that has never left the device.' },
      { tries: 'He has got the device itself, with its key, and is in. Then it is missed.', cases: ['T09', 'T10'], stops: 'One word of the operator cuts him off within a second, and keeps him out from then on.' },
      { tries: 'He comes back by what he has saved: a TLS session, the session of MQTT, a renewal.', cases: ['T11', 'Q40', 'E18'], stops: 'Each of them is judged by the registry as it is now.' },
    ],
    left: 'From the theft to the revocation he is the device. What it may do is what the policy grants it, and no more; detection sees what it does not usually do.',
  },
  'malicious-requests': {
    title: 'somebody who talks to the programs and not to the people', has: 'the ports, and a device of his own.',
    steps: [
      { tries: 'He sends HTTP that two programs read differently, without end, or to where nobody is.', cases: ['E12', 'E13', 'E31'], stops: 'What is not well-formed is answered once and closed; what is too large or too slow is cut off.' },
      { tries: 'He sends requests for certificates that are bombs, or are not what they seem.', cases: ['E14', 'E15'], stops: 'DER is measured before it is read.' },
      { tries: 'He asks to be a CA, a server, another device, for longer.', cases: ['E02', 'E07', 'E08', 'E09'], stops: 'From a request nothing is taken but its public key.' },
      { tries: 'With a device of his own he posts messages over HTTPS: to the topics of others, to none, by paths and parameters that two programs read differently.', cases: ['H02', 'H03', 'H04', 'H05', 'H06'], stops: 'A path is decoded once and a parameter read once, or refused; where it leads is judged as in MQTT.' },
      { tries: 'He writes into headers who he is, and lets a page in somebody\'s browser ask for him.', cases: ['H07', 'H08'], stops: 'Who speaks is said by the certificate alone, and a browser is no device.' },
      { tries: 'He shows certificates that are for something else, and goes on over a connection that was his.', cases: ['H01', 'H09'], stops: 'Each message is judged anew; who is thrown out is disconnected.' },
      { tries: 'He sends bodies without end, and more than his device may.', cases: ['H10', 'H11'], stops: 'A body has a bound and a time, and a rate is one account at both doors.' },
      { tries: 'He sends packets that no library writes.', cases: ['Q19', 'Q22', 'Q23', 'Q42'], stops: 'Every packet is held to the norm before anything is done with it.' },
    ],
    left: 'A mistake in what nobody has thought of: the last case tries packets by chance, and a new version may come at any time.',
  },
} as const satisfies Record<string, Pack>

export type PackName = keyof typeof PACKS

export const PACK_NAMES: readonly PackName[] = Object.keys(PACKS).filter((name): name is PackName => name in PACKS)

export function packOf(name: PackName): Pack {
  return PACKS[name]
}

/** All cases that tell this story. */
export function casesOfPack(name: PackName): readonly CaseId[] {
  return [...new Set(packOf(name).steps.flatMap(({ cases }) => cases))]
}
