// What stands under when: each condition in its good forms, and in the bad ones that are nearest.

import { deny, grant, when, type BadForm } from './texts.ts'

/** Each is a policy. */
export const GOOD: readonly string[] = [
  when('source: 10.0.0.1'), when('source: "::1"'), when('source: ["10.0.0.0/8", "2001:db8::/32"]'), when('source: [0.0.0.0/0]'), when('source: "::/0"'), when('source: "::ffff:10.0.0.0/104"'), when('source: 10.0.0.0/32'), when('source: "::1/128"'),
  when('tls: "1.2"'), when('tls: "1.3"'), when('tls: 1.3'), when('tls: ">=1.2"'), when('tls: ">=1.3"'), deny('when: { tls: "1.2" }'),
  when('time: {}'), when('time: { days: mon }'), when('time: { days: [mon-fri, sun] }'), when('time: { days: sat-mon }'), when('time: { from: "06:00" }'), when('time: { to: "06:00" }'), when('time: { from: "22:00", to: "06:00" }'), when('time: { from: 06:00, to: 24:00 }'), when('time: { from: "08:00", to: "00:00" }'), when('time: { zone: Europe/Berlin }'), when('time: { zone: UTC }'), when('time: { zone: Etc/GMT+5 }'),
  when('notBefore: 2027-03-01T00:00:00Z'), when('notAfter: "2027-03-01T00:00Z"'), when('notAfter: 2028-02-29T23:59:59-05:00'), when('notBefore: 2027-03-01T00:00:00Z, notAfter: 2027-03-01T00:00:01Z'),
  when('certificateAge: "<90d"'), when('certificateAge: ">=1d"'), when('certificateAge: ">=1d <90d"'), when('certificateAge: " <90d   >=1d "'), when('certificateAge: ">=0s <1ms"'),
  when('attested: true'), when('attested: false'), when('state: active'), when('state: [active, quarantined]'), when('source: 10.0.0.0/8, tls: ">=1.3", attested: true, state: quarantined'),
]

/** What has the wrong form: the published schema refuses it, too. */
export const BAD_FORM: readonly BadForm[] = [
  [grant('when: {}'), '3:23: when says no condition. Remove it, or say one of: source, tls, time, notBefore, notAfter, certificateAge, attested, state.'],
  [grant('when: ~'), '3:29: when must be a mapping (key: value), not nothing.'],
  [grant('when: [tls]'), '3:29: when must be a mapping (key: value), not a list.'],
  [when('tsl: "1.3"'), '3:31: unknown key "tsl" in when. Did you mean "tls"?'],
  [when('group: g'), '3:31: unknown key "group" in when. Known keys: source, tls, time, notBefore, notAfter, certificateAge, attested, state.'],
  [when('source: []'), '3:39: source is empty.'],
  [when('source: ~'), '3:39: a network must be text, not nothing.'],
  [when('source: { a: b }'), '3:39: source must be a list, not a mapping (key: value).'],
  [when('source: 10'), '3:39: a network must be text, not 10. Write it in quotes: "10".'],
  [when('source: ["10.0.0.0/8", "::/129", localhost, "fe80::1%eth0", "10.0.0.0/8/8", "-1.0.0.0"]'), '3:54: source: "::/129" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.', '3:64: source: "localhost" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.', '3:75: source: "fe80::1%eth0" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.', '3:91: source: "10.0.0.0/8/8" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.', '3:107: source: "-1.0.0.0" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.'],
  [when('tls: 1.1'), '3:36: tls must be a version of TLS. Write "1.3", "1.2" or ">=1.2".'],
  [when('tls: ">1.2"'), '3:36: tls must be a version of TLS. Write "1.3", "1.2" or ">=1.2".'],
  [when('tls: "<=1.3"'), '3:36: tls must be a version of TLS. Write "1.3", "1.2" or ">=1.2".'],
  [when('tls: [1.2]'), '3:36: tls must be a single value, not a list.'],
  [when('tls: "TLSv1.3"'), '3:36: tls must be a version of TLS. Write "1.3", "1.2" or ">=1.2".'],
  [when('time: "06:00"'), '3:37: time must be a mapping (key: value), not "06:00".'],
  [when('time: { day: mon }'), '3:39: unknown key "day" in time. Did you mean "days"?'],
  [when('time: { days: monday }'), '3:45: days has something that is no day. Write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri.'],
  [when('time: { days: [] }'), '3:45: days is empty.'],
  [when('time: { days: [mon-fri-sun, sat, 1, [sun]] }'), '3:46: days has something that is no day. Write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri.', '3:64: days has something that is no day. Write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri.', '3:67: days has something that is no day. Write mon, tue, wed, thu, fri, sat, sun, or a range such as mon-fri.'],
  [when('time: { from: "6:00" }'), '3:45: from must be a time of day. Write hours and minutes in quotes: "06:00".'],
  [when('time: { to: "24:01" }'), '3:43: to must be a time of day. Write hours and minutes in quotes: "06:00".'],
  [when('time: { from: 600 }'), '3:45: from must be a time of day. Write hours and minutes in quotes: "06:00".'],
  [when('time: { to: "25:00", zone: Nowhere/City }'), '3:43: to must be a time of day. Write hours and minutes in quotes: "06:00".', '3:58: zone: "Nowhere/City" is no time zone. Write a name of the IANA time zone database, such as Europe/Berlin or UTC.'],
  [when('time: { zone: "+01:00" }'), '3:45: zone: "+01:00" is no time zone. Write a name of the IANA time zone database, such as Europe/Berlin or UTC.'],
  [when('time: { zone: 7 }'), '3:45: zone must be text, not 7. Write it in quotes: "7".'],
  [when('time: { zone: "" }'), '3:45: zone: "" is no time zone. Write a name of the IANA time zone database, such as Europe/Berlin or UTC.'],
  [when('notBefore: 2027-03-01'), '3:42: notBefore must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notBefore: "2027-03-01T00:00:00"'), '3:42: notBefore must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notAfter: 2027-13-01T00:00:00Z'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notAfter: 2027-00-01T00:00:00Z'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notAfter: 2027-01-00T00:00:00Z'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notAfter: 2027-01-01T24:00:00Z'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notAfter: 1800000000'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notAfter: tomorrow'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('certificateAge: 90d'), '3:47: certificateAge must be bounds of an age. Write "<90d", ">=1d" or ">=1d <90d".'],
  [when('certificateAge: "<90"'), '3:47: certificateAge must be a duration, not 90. Write a number and a unit: 500ms, 90s, 15m, 24h or 7d.'],
  [when('certificateAge: ">90d"'), '3:47: certificateAge must be bounds of an age. Write "<90d", ">=1d" or ">=1d <90d".'],
  [when('certificateAge: "<=90d"'), '3:47: certificateAge must be a duration, not =90d. Write a number and a unit: 500ms, 90s, 15m, 24h or 7d.'],
  [when('certificateAge: ""'), '3:47: certificateAge must be bounds of an age. Write "<90d", ">=1d" or ">=1d <90d".'],
  [when('certificateAge: 90'), '3:47: certificateAge must be text, not 90. Write it in quotes: "90".'],
  [when('certificateAge: [">=1d"]'), '3:47: certificateAge must be a single value, not a list.'],
  [when('attested: yes'), '3:41: attested must be true or false, not yes. Write: true'],
  [when('attested: "true"'), '3:41: attested must be true or false, not true. Write it without quotes.'],
  [when('state: suspended'), '3:38: state must be active or quarantined, not suspended.'],
  [when('state: []'), '3:38: state is empty.'],
  [when('state: [active, quarantine]'), '3:47: state must be active or quarantined, not quarantine. Did you mean "quarantined"?'],
  [when('state: { a: b }'), '3:38: state must be a list, not a mapping (key: value).'],
]

/** What has a good form and makes no sense: only the reader sees it. */
export const BAD_SENSE: readonly BadForm[] = [
  [when('source: "10.0.0.0/33"'), '3:39: source: "10.0.0.0/33" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.'],
  [when('source: "10.0.0"'), '3:39: source: "10.0.0" is no network. Write an address or a network: 10.0.0.0/8, 2001:db8::/32.'],
  [when('time: { from: "24:00" }'), '3:37: time: the window is empty. A window that ends when it begins has no time in it; leave out from and to for the whole day.'],
  [when('time: { from: "08:00", to: "08:00" }'), '3:37: time: the window is empty. A window that ends when it begins has no time in it; leave out from and to for the whole day.'],
  [when('notAfter: 2027-02-30T00:00:00Z'), '3:41: notAfter must be an instant. Write it as RFC 3339 has it, with its offset: 2027-03-01T06:00:00Z.'],
  [when('notBefore: 2027-03-01T00:00:00Z, notAfter: 2027-03-01T01:00:00+01:00'), '3:74: notAfter is not later than notBefore: the rule would never apply.'],
  [when('certificateAge: ">=1d >=2d"'), '3:47: certificateAge must be bounds of an age. Write "<90d", ">=1d" or ">=1d <90d".'],
  [when('certificateAge: ">=90d <1d"'), '3:47: certificateAge: no age is within these bounds.'],
  [when('certificateAge: "<0s"'), '3:47: certificateAge: no age is within these bounds.'],
]
