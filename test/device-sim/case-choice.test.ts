// Which cases a person asked for, and the list of all.

import { describe, expect, test } from 'vitest'
import { CASE_IDS, rowOf } from '../../device-sim/attacks/catalogue.ts'
import { casesOfPack } from '../../device-sim/attacks/packs.ts'
import { catalogueText, chooseCases, choosePacks, closest } from '../../device-sim/case-choice.ts'
import { SimError } from '../../device-sim/failure.ts'

test('nothing named is everything', () => expect(chooseCases({})).toEqual(CASE_IDS))

test('cases come in the order of the catalogue, each once, however they are written', () => {
  expect(chooseCases({ case: 'q01, T02,t02' })).toEqual(['T02', 'Q01'])
})

test('a family is all its cases; cases and families add up', () => {
  const tls = CASE_IDS.filter((id) => rowOf(id).family === 'tls')
  expect(chooseCases({ family: 'tls' })).toEqual(tls)
  expect(chooseCases({ family: 'TLS', case: 'Q01' })).toEqual([...tls, 'Q01'])
})

test('a pack is the cases of its story, and adds up with what else is named', () => {
  expect(chooseCases({ pack: 'phishing' }).toSorted()).toEqual(casesOfPack('phishing').toSorted())
  expect(chooseCases({ pack: 'phishing', case: 'Q01' })).toEqual(CASE_IDS.filter((id) => id === 'Q01' || casesOfPack('phishing').includes(id)))
  expect(choosePacks({ pack: 'Phishing,on-path,phishing' })).toEqual(['phishing', 'on-path'])
  expect(choosePacks({})).toEqual([])
})

describe('what is not there is a usage error with the nearest that is', () => {
  test.each([
    [{ case: 'T1' }, 'There is no case "T1". Did you mean T01? --list shows all.'],
    [{ case: 'T01,' }, 'There is no case "". --list shows all.'],
    [{ case: 'everything' }, 'There is no case "everything". --list shows all.'],
    [{ case: '__proto__' }, 'There is no case "__proto__". --list shows all.'],
    [{ family: 'mqqt' }, 'There is no family "mqqt". Did you mean mqtt? --list shows all.'],
    [{ pack: 'on path' }, 'There is no pack "on path". Did you mean on-path? --list shows all.'],
    [{ pack: 'everything' }, 'There is no pack "everything". --list shows all.'],
    [{ family: 'server' }, 'There is no family "server". --list shows all.'],
  ])('%j', (wishes, message) => {
    expect(() => chooseCases(wishes)).toThrow(expect.toSatisfy((error: unknown) => error instanceof SimError && error.code === 'usage' && error.message === message))
  })

  test('a word as long as a book costs nothing', () => expect(closest('x'.repeat(10_000_000), CASE_IDS)).toBeUndefined())
})

test('the list says of every case what it is, why, and what must come of it', async () => {
  await expect(catalogueText(CASE_IDS)).toMatchFileSnapshot('golden/catalogue.txt')
})
