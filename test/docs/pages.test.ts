// What the pages say exists: links and their anchors, commands and their options, reason codes, metrics, keys of the configuration,
// variables of the environment, routes of the admin API. And nothing of the machine on which they were written.

import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { SECTIONS, TABLE } from '../../src/config/table.ts'
import { METRICS } from '../../src/observe/metric-table.ts'
import { ADMIN_PATHS, REASONS } from '../../src/vocabulary.ts'
import { listed, mistakeIn, SALLYPORT, SIMULATOR } from './command-tree.ts'
import { anchors, commandLines, inlineCode, links, pageOf, pages, ROOT, wordsOf, type Page } from './pages.ts'

const PAGES = pages()
/** Decisions are of their day: what they name may have gone since. */
const PRESENT = PAGES.filter(({ file }) => !file.startsWith('docs/decisions/'))
const at = (page: Page, number: number, what: string): string => `${page.file}:${number}: ${what}`

function brokenLinks(page: Page): readonly string[] {
  return links(page).flatMap(({ number, target }) => {
    if (/^[a-z]+:/.test(target)) return []
    const [file = '', anchor] = target.split('#', 2)
    const where = path.join(ROOT, path.dirname(page.file), decodeURIComponent(file))
    if (file !== '' && !existsSync(where)) return [at(page, number, `${target} is not there`)]
    if (anchor === undefined || (file !== '' && !file.endsWith('.md'))) return []
    const there = file === '' ? page : pageOf(file, readFileSync(where, 'utf8'))
    return anchors(there).has(anchor) ? [] : [at(page, number, `${target} has no such heading`)]
  })
}

/** In prose a command may be short of what it needs, have its choices beside each other, and what may be left out in brackets. */
function plainWords(words: readonly string[]): readonly string[] {
  const short = words.map((word) => word.replaceAll(/^\[+|\]+$/g, '').replace(/…$/, ''))
  const cut = short.findIndex((word) => word === '' || word === '|' || word === '\\' || word === 'COMMAND' || /[{]|\$\(/.test(word))
  return cut === -1 ? short : short.slice(0, cut)
}

const PATHS = new Set(listed(SALLYPORT, '').map(({ path: name }) => name.trim()))
/** `device add ID`, without the name of the program: two words that are a noun and a verb. */
function barely(page: Page): readonly { readonly number: number; readonly words: readonly string[] }[] {
  return inlineCode(page).map(({ number, code }) => ({ number, words: wordsOf(code) })).filter(({ words }) => words.length > 1 && PATHS.has(words.slice(0, 2).join(' ')))
}

function wrongCommands(page: Page): readonly string[] {
  const named = commandLines(page, ['sallyport', 'node src/launch.cjs', 'npm start --'])
  const simulated = commandLines(page, ['npm run sim --', 'sallyport-sim', 'node device-sim/launch.cjs'])
  const serving = (name: string, words: readonly string[]): readonly string[] => (name === 'npm start --' ? ['serve', ...words] : words)
  return [
    ...named.map(({ number, name, words }) => ({ number, words: serving(name, words), root: SALLYPORT })),
    ...barely(page).map((each) => ({ ...each, root: SALLYPORT })),
    ...simulated.map((each) => ({ ...each, root: SIMULATOR })),
  ].flatMap(({ number, words, root }) => {
    const alternatives = plainWords(words).some((word) => /^[a-z-]+(\|[a-z-]+)+$/.test(word)) ? spread(plainWords(words)) : [plainWords(words)]
    return alternatives.flatMap((each) => {
      const mistake = mistakeIn(each, root)
      return mistake === undefined ? [] : [at(page, number, `${each.join(' ')}: ${mistake}`)]
    })
  })
}

/** `ca init|show` is two commands. */
function spread(words: readonly string[]): readonly (readonly string[])[] {
  return words.reduce<readonly (readonly string[])[]>((all, word) => all.flatMap((before) => word.split('|').map((one) => [...before, one])), [[]])
}

/** Words of the program that look like reasons and are none: events of the audit log, failures of a start, names of files and cases. */
const OTHER_WORDS: ReadonlySet<string> = new Set(['src', 'device-sim'].flatMap((folder) =>
  readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    if (!/\.(ts|tsx|yaml)$/.test(name)) return []
    const text = readFileSync(path.join(ROOT, folder, name), 'utf8')
    return [path.basename(name).replace(/\.\w+$/, ''), ...[...text.matchAll(/['"\s]([a-z]+(?:-[a-z0-9]+)+)['":]/g)].map((found) => found[1] ?? '')]
  })))
/** Of RFC 5929 and RFC 9266. */
const BINDINGS = ['tls-unique', 'tls-exporter']
const FIRST_WORDS = new Set(Object.keys(REASONS).map((code) => code.split('-')[0]))

function unknownReasons(page: Page): readonly string[] {
  return inlineCode(page).filter(({ code }) => /^[a-z]+(-[a-z0-9]+)+$/.test(code) && FIRST_WORDS.has(code.split('-')[0] ?? '') && !Object.hasOwn(REASONS, code) && !OTHER_WORDS.has(code) && !BINDINGS.includes(code)).map(({ number, code }) => at(page, number, code))
}

/** In C are the names of the header of a bundle. */
const notC = (page: Page): Page['lines'] => page.lines.filter(({ fence }) => fence !== 'c')

function unknownMetrics(page: Page): readonly string[] {
  return notC(page).flatMap(({ number, text }) => [...text.matchAll(/\bsallyport_[a-z_]+[a-z]\b(?![./(-])/g)].map(([name]) => name).filter((name) => !Object.hasOwn(METRICS, name.replace(/_(bucket|sum|count)$/, '')) && !Object.hasOwn(METRICS, name)).map((name) => at(page, number, name)))
}

const KEYS = new Set([...Object.keys(TABLE), ...Object.keys(SECTIONS)])
const TOPS = new Set([...KEYS].filter((key) => key.includes('.')).map((key) => key.split('.')[0] ?? ''))
const VARIABLES = new Set(['SALLYPORT_HOME', 'SALLYPORT_OPERATOR', ...[...KEYS].map((key) => `SALLYPORT_${key.replaceAll('.', '_').replaceAll(/([a-z])([A-Z])/g, '$1_$2').toUpperCase()}`)])
/** An example of what means nothing. */
const OTHER_VARIABLES = /^SALLYPORT_LOG_LEVL$/

function unknownKeys(page: Page): readonly string[] {
  const keys = page.lines.flatMap(({ number, text }) => [...text.matchAll(/(?<![\w./$-])([a-z]+)((?:\.[a-zA-Z]+)+)(?![\w/(])/g)].map((found) => ({ number, top: found[1] ?? '', key: found[0] })))
  const wrong = keys.filter(({ top, key }) => TOPS.has(top) && !KEYS.has(key) && ![...KEYS].some((known) => known.startsWith(`${key}.`)) && key !== 'tls.createServer' && !/\.(ts|md|yaml|json|ndjson|db|cjs|test|example|org|tsx|pem|key|csv|log|sh|js|conf|html)$/.test(key))
  const variables = notC(page).flatMap(({ number, text }) => [...text.matchAll(/\bSALLYPORT_[A-Z_]*[A-Z]\b/g)].map(([name]) => ({ number, name })))
  return [...wrong.map(({ number, key }) => at(page, number, key)), ...variables.filter(({ name }) => !VARIABLES.has(name.replace(/_FILE$/, '')) && !VARIABLES.has(name) && !OTHER_VARIABLES.test(name)).map(({ number, name }) => at(page, number, name))]
}

const ROUTES = Object.values(ADMIN_PATHS).map((route) => new RegExp(`^${route.replaceAll(/:\w+/g, '[^/]+')}$`))

function unknownRoutes(page: Page): readonly string[] {
  return page.lines.flatMap(({ number, text }) => [...text.matchAll(/(?<![\w.])\/v1\/[\w:{}$/%.-]*[\w}]/g)].map(([route]) => route).filter((route) => !ROUTES.some((known) => known.test(route))).map((route) => at(page, number, route)))
}

/** `test/x.test.ts`, `src/limits.ts`, `test/http/console`: what a page names of the sources, with or without what comes after the dot. */
function unknownFiles(page: Page): readonly string[] {
  return inlineCode(page).filter(({ code }) => /^(src|test|bench|device-sim|deploy|docs|certs)\/[\w./-]+$/.test(code) && !existsSync(path.join(ROOT, code)) && !existsSync(path.join(ROOT, `${code}.ts`)) && !existsSync(path.join(ROOT, `${code}.test.ts`)) && !code.startsWith('certs/local')).map(({ number, code }) => at(page, number, code))
}

const MACHINE = /(?<![\w.])\/(?:work|root|tmp\/(?!sallyport))\b|\/home\/[a-z]+\/|\blocalhost:\d{5}\b.*# ours/

describe('what the pages name is there', () => {
  test('links and their anchors', () => expect(PAGES.flatMap(brokenLinks)).toEqual([]))
  test('commands, with their options', () => expect(PRESENT.filter(({ file }) => file !== 'CHANGELOG.md').flatMap(wrongCommands)).toEqual([]))
  test('reason codes', () => expect(PRESENT.flatMap(unknownReasons)).toEqual([]))
  test('metrics', () => expect(PRESENT.flatMap(unknownMetrics)).toEqual([]))
  test('keys and variables of the configuration', () => expect(PRESENT.flatMap(unknownKeys)).toEqual([]))
  test('files of the sources', () => expect(PRESENT.filter(({ file }) => file !== 'CHANGELOG.md').flatMap(unknownFiles)).toEqual([]))
  test('routes of the admin API', () => expect(PRESENT.flatMap(unknownRoutes)).toEqual([]))
})

test('no page names a folder of the machine on which it was written', () => {
  expect(PAGES.flatMap((page) => page.lines.filter(({ text }) => MACHINE.test(text)).map(({ number, text }) => at(page, number, text.slice(0, 80))))).toEqual([])
})

test('the architecture names every room and every file beside them', () => {
  const text = readFileSync(path.join(ROOT, 'docs/architecture.md'), 'utf8')
  const rooms = readdirSync(path.join(ROOT, 'src'), { withFileTypes: true }).map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
  expect(rooms.filter((name) => !/^(cli-|.*-limits)/.test(name) && !text.includes(name))).toEqual([])
})

test('every page that a message or a comment of the program names is there', () => {
  const wrong = ['src', 'device-sim', 'deploy', 'certs/profiles'].flatMap((folder) => readdirSync(path.join(ROOT, folder), { recursive: true, encoding: 'utf8' }).flatMap((name) => {
    if (!/\.(ts|tsx|cjs|yaml|service|json)$/.test(name)) return []
    return [...readFileSync(path.join(ROOT, folder, name), 'utf8').matchAll(/\bdocs\/[\w/-]+\.(?:md|json)/g)].flatMap(([page]) => (existsSync(path.join(ROOT, page)) ? [] : [`${folder}/${name}: ${page}`]))
  }))
  expect(wrong).toEqual([])
})

test('every page of docs/ stands in its index', () => {
  const index = PAGES.find(({ file }) => file === 'docs/README.md')
  const named = new Set((index === undefined ? [] : links(index)).map(({ target }) => path.join('docs', target.split('#')[0] ?? '')))
  const missing = PAGES.filter(({ file }) => path.dirname(file) === 'docs' && file !== 'docs/README.md' && !named.has(file)).map(({ file }) => file)
  expect(missing).toEqual([])
})

test('every page that shows a session of a shell is run by a test', () => {
  const tests = ['test/pages', 'test/deploy', 'test/pki'].flatMap((folder) => readdirSync(path.join(ROOT, folder)).filter((name) => name.endsWith('.test.ts')).map((name) => readFileSync(path.join(ROOT, folder, name), 'utf8'))).join('')
  const shown = PRESENT.filter(({ text }) => /^```console$/m.test(text)).map(({ file }) => file)
  expect(shown.length).toBeGreaterThan(10)
  expect(shown.filter((file) => !tests.includes(`'${file}'`))).toEqual([])
})

test('every script that a page names is one of package.json, and the README names those for people', () => {
  const { scripts } = JSON.parse(readFileSync(path.join(ROOT, 'package.json'), 'utf8')) as { readonly scripts: Readonly<Record<string, string>> }
  const named = PRESENT.flatMap((page) => page.lines.flatMap(({ number, text }) => [...text.matchAll(/\bnpm run ([a-z][a-z:-]*[a-z])/g)].map((found) => ({ page, number, script: found[1] ?? '' }))))
  expect(named.filter(({ script }) => !Object.hasOwn(scripts, script)).map(({ page, number, script }) => at(page, number, script))).toEqual([])
  const shown = new Set(named.filter(({ page }) => page.file === 'README.md').map(({ script }) => script))
  expect(Object.keys(scripts).filter((script) => /^(test|bench):|^(sim|check)$/.test(script) && !shown.has(script))).toEqual([])
})

test('the README can be read in one go', () => {
  expect(readFileSync(path.join(ROOT, 'README.md'), 'utf8').split('\n').length).toBeLessThanOrEqual(260)
  expect(statSync(path.join(ROOT, 'docs/images/console/refusal.png')).size).toBeGreaterThan(0)
})

describe('a page that says what is not there is seen', () => {
  const page = (text: string): Page => pageOf('docs/example.md', text)

  test('a link, an anchor', () => {
    expect(brokenLinks(page('[a](api.md) [b](nothing.md) [c](#x)\n# X\n[d](#none) `[e](code.md)`'))).toEqual(['docs/example.md:1: nothing.md is not there', 'docs/example.md:3: #none has no such heading'])
  })
  test('a command, in a fence, in prose, with and without its program, and of the simulator', () => {
    expect(wrongCommands(page('`sallyport device add ID --group G`, `device add ID`, `ca rotate start|trust`, `npm run sim -- attack --list`'))).toEqual([])
    expect(wrongCommands(page('```console\n$ X=$(npx sallyport token create --idd a | head -1)\nsallyport nothing\n```\n```\nsallyport nothing\n```'))).toEqual(['docs/example.md:2: token create --idd a: create has no option --idd', 'docs/example.md:6: nothing: sallyport has no nothing'])
    expect(wrongCommands(page('`device add ID --grup G` `sallyport frobnicate` `npm run sim -- attack --lits` `ca rotate start|stop`'))).toHaveLength(4)
  })
  test('a reason, a metric, a key, a variable, a file, a route', () => {
    expect(unknownReasons(page('`certificate-expired` `certificate-exploded` `subscription-lost`'))).toEqual(['docs/example.md:1: certificate-exploded'])
    expect(unknownMetrics(page('sallyport_sessions sallyport_nothing_total'))).toEqual(['docs/example.md:1: sallyport_nothing_total'])
    expect(unknownKeys(page('limits.packetBytesMax limits.packetSize SALLYPORT_LISTEN_MQTT_PORT SALLYPORT_NONSENSE'))).toEqual(['docs/example.md:1: limits.packetSize', 'docs/example.md:1: SALLYPORT_NONSENSE'])
    expect(unknownFiles(page('`src/limits.ts` `test/e2e/nothing.test.ts` `test/http/console`'))).toEqual(['docs/example.md:1: test/e2e/nothing.test.ts'])
    expect(unknownRoutes(page('GET /v1/devices/sensor-7, /v1/gadgets'))).toEqual(['docs/example.md:1: /v1/gadgets'])
  })
})
