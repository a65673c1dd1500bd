// What stands under publish, subscribe, will and receive: each term in its good forms, and in the bad ones that are nearest.

import { deny, grant, pub, sub, will, type BadForm } from './texts.ts'

/** Each is a policy. */
export const GOOD: readonly string[] = [
  grant('publish: [a, "b c", { topic: d }]'), grant('subscribe: [a, { topic: b }]'), grant('will: [a, { topic: b }]'), deny('publish: [a, { topic: b }], receive: ["#"]'),
  pub('qos: 0'), pub('qos: 1'), pub('qos: 2'), pub('retain: true'), pub('retain: false'), pub('maxBytes: 0'), pub('maxBytes: 512'), pub('maxBytes: "512"'), pub('maxBytes: 512B'), pub('maxBytes: 8KiB'), pub('maxBytes: 1MiB'), pub('maxBytes: 1GiB'),
  pub('rate: 1/s'), pub('rate: 600/m'), pub('rate: 100/h'), pub('rate: 9999999/s'), pub('rate: 20/s, burst: 1'), pub('rate: 20/s, burst: 1000000'), pub('qos: 1, retain: true, maxBytes: 8KiB, rate: 20/s, burst: 100'),
  sub('qos: 0'), sub('wildcard: contain'), sub('wildcard: forbid'), sub('wildcard: filter'), sub('share: []'), sub('share: ~'), sub('share: [workers, "fw*", "*", "a b", "7"]'), will('qos: 0, retain: false, maxBytes: 1KiB'),
  ...['#', '+', '+/#', 'a', '/', 'a//b', '/a', 'a/', '${device.id}', 't/x-${device.id}-y/#', '${device.id}${device.tenant}', 'a/$${x}', 'a/$SYS', 'ä/😀', '${device.id}/$share', '%c', '%u/%c'].map((topic) => grant(`publish: [ ${JSON.stringify(topic)} ]`)),
]

/** What has the wrong form: the published schema refuses it, too. */
export const BAD_FORM: readonly BadForm[] = [
  [grant('publish: a'), '3:32: publish must be a list, not "a". Write: [ a ]'],
  [grant('publish: [ [a] ]'), '3:34: publish must be a mapping (key: value), not a list.'],
  [grant('publish: [ { qos: 1 } ]'), '3:34: publish has no topic. Add: topic: "…"'],
  [grant('publish: [ 7 ]'), '3:34: the topic of publish must be text, not 7. Write it in quotes: "7".'],
  [grant('publish: [ ~ ]'), '3:34: the topic of publish must be text, not nothing.'],
  [grant('publish: [ { topic: [a] } ]'), '3:43: the topic of publish must be a single value, not a list.'],
  [pub('qos: 3'), '3:51: qos must be a whole number from 0 to 2, not 3.'],
  [pub('qos: -1'), '3:51: qos must be a whole number from 0 to 2, not -1.'],
  [pub('qos: 0.5'), '3:51: qos must be a whole number from 0 to 2, not 0.5.'],
  [pub('qos: "1"'), '3:51: qos must be a whole number from 0 to 2, not "1". Write it without quotes.'],
  [pub('qos: <=1'), '3:51: qos must be a whole number from 0 to 2, not "<=1".'],
  [pub('retain: yes'), '3:54: retain must be true or false, not yes. Write: true'],
  [pub('maxBytes: 8kb'), '3:56: maxBytes must be a size, not 8kb. Write bytes: 512, 8KiB or 1MiB.'],
  [pub('maxBytes: -1'), '3:56: maxBytes must be a size, not -1. Write bytes: 512, 8KiB or 1MiB.'],
  [pub('maxBytes: [1]'), '3:56: maxBytes must be a single value, not a list.'],
  [pub('wildcard: contain'), '3:46: unknown key "wildcard" in publish. Known keys: topic, qos, retain, maxBytes, rate, burst.'],
  [pub('share: [g]'), '3:46: unknown key "share" in publish. Known keys: topic, qos, retain, maxBytes, rate, burst.'],
  [grant('publish: [ { topc: a } ]'), '3:36: unknown key "topc" in publish. Did you mean "topic"?'],
  [pub('rate: 20'), '3:52: rate must be a number of messages in a time, not 20. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('rate: 0/s'), '3:52: rate must be a number of messages in a time, not 0/s. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('rate: 20/d'), '3:52: rate must be a number of messages in a time, not 20/d. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('rate: 1.5/s'), '3:52: rate must be a number of messages in a time, not 1.5/s. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('rate: -1/s'), '3:52: rate must be a number of messages in a time, not -1/s. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('rate: 20/sec'), '3:52: rate must be a number of messages in a time, not 20/sec. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('rate: [20/s]'), '3:52: rate must be a single value, not a list.'],
  [pub('rate: 12345678/s'), '3:52: rate must be a number of messages in a time, not 12345678/s. Write 20/s, 600/m or 100/h; to forbid publishing, grant none.'],
  [pub('burst: 5'), '3:46: burst needs a rate. Say how often, too: a rate such as 20/s.'],
  [pub('rate: 20/s, burst: 0'), '3:65: burst must be a whole number from 1 to 1000000, not 0.'],
  [pub('rate: 20/s, burst: 1000001'), '3:65: burst must be a whole number from 1 to 1000000, not 1000001.'],
  [pub('rate: 20/s, burst: "5"'), '3:65: burst must be a whole number from 1 to 1000000, not "5". Write it without quotes.'],
  [sub('retain: true'), '3:48: unknown key "retain" in subscribe. Known keys: topic, qos, wildcard, share.'],
  [sub('maxBytes: 1'), '3:48: unknown key "maxBytes" in subscribe. Known keys: topic, qos, wildcard, share.'],
  [sub('rate: 1/s'), '3:48: unknown key "rate" in subscribe. Known keys: topic, qos, wildcard, share.'],
  [sub('wildcard: forbidden'), '3:58: wildcard must be contain or forbid or filter, not forbidden. Did you mean "forbid"?'],
  [sub('wildcard: filtr'), '3:58: wildcard must be contain or forbid or filter, not filtr. Did you mean "filter"?'],
  [sub('wildcard: true'), '3:58: wildcard must be contain or forbid or filter, not true.'],
  [sub('share: g'), '3:55: share must be a list, not "g". Write: [ g ]'],
  [sub('share: [7]'), '3:56: a share name must be text, not 7. Write it in quotes: "7".'],
  [sub('share: [""]'), '3:56: a share name is not empty and has none of / + #; only its last character may be "*". In $share/workers/t/# it is workers.'],
  [sub('share: ["a/b"]'), '3:56: a share name is not empty and has none of / + #; only its last character may be "*". In $share/workers/t/# it is workers.'],
  [sub('share: ["*a"]'), '3:56: a share name is not empty and has none of / + #; only its last character may be "*". In $share/workers/t/# it is workers.'],
  [sub('share: ["a+"]'), '3:56: a share name is not empty and has none of / + #; only its last character may be "*". In $share/workers/t/# it is workers.'],
  [sub('share: ["**"]'), '3:56: a share name is not empty and has none of / + #; only its last character may be "*". In $share/workers/t/# it is workers.'],
  [sub('share: ["#"]'), '3:56: a share name is not empty and has none of / + #; only its last character may be "*". In $share/workers/t/# it is workers.'],
  [will('wildcard: forbid'), '3:43: unknown key "wildcard" in will. Known keys: topic, qos, retain, maxBytes.'],
  [will('rate: 20/s'), '3:43: "rate" does not belong in will: a Will is announced once for each connection.'],
  [will('burst: 2'), '3:43: "burst" does not belong in will: a Will is announced once for each connection.'],
  [will('qos: 3'), '3:48: qos must be a whole number from 0 to 2, not 3.'],
  [deny('publish: [ { topic: a, qos: 1 } ]'), '3:46: unknown key "qos" in a denied topic. Known keys: topic.'],
  [deny('publish: [ {} ]'), '3:34: a denied topic has no topic. Add: topic: "…"'],
  [deny('receive: [ ~ ]'), '3:34: a denied topic must be text, not nothing.'],
  [deny('subscribe: a'), '3:34: subscribe must be a list, not "a". Write: [ a ]'],
]

/** What has a good form and makes no sense: only the reader sees it. */
export const BAD_SENSE: readonly BadForm[] = [
]
