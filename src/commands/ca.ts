// sallyport ca init | show.

import { importCa } from '../ca/import.ts'
import { isInitialized } from '../ca/genesis.ts'
import { readSecretFile } from '../ca/key-file.ts'
import { SallyportError } from '../core/errors.ts'
import { ensureStarter, openHome } from '../home.ts'
import { configOf, endpointsOf, homeOf, print, readText, table, time, withDesk, type CommonOptions } from './context.ts'

interface InitOptions extends CommonOptions {
  readonly importCert?: string
  readonly importKey?: string
  readonly importChain?: string
  readonly importKeyPassphraseFile?: string
}

export async function init(options: InitOptions): Promise<void> {
  const home = homeOf(options)
  if ((await endpointsOf(home)) !== undefined) throw new SallyportError('home-in-use', `A server runs in ${home}: its CA is there already.`, { fix: 'See it with: sallyport ca show.' })
  if ((options.importCert === undefined) !== (options.importKey === undefined)) throw new SallyportError('usage', 'An import needs both --import-cert and --import-key.')
  const config = configOf(home)
  await using opened = await openHome(home, config)
  const actor = { kind: 'local' } as const
  if (options.importCert !== undefined && options.importKey !== undefined) {
    await importCa(
      {
        cert: readText(options.importCert),
        key: readSecretFile(options.importKey).toString('utf8'),
        ...(options.importChain === undefined ? {} : { chain: readText(options.importChain) }),
        ...(options.importKeyPassphraseFile === undefined ? {} : { keyPassphrase: readSecretFile(options.importKeyPassphraseFile).toString('utf8').trim() }),
      },
      opened.genesis(actor),
    )
  } else if (isInitialized(opened.registry)) throw new SallyportError('refused', 'This home has a certificate authority already.', { fix: 'See it with: sallyport ca show.' })
  const { root, issuing } = await opened.organisation(actor, 'make')
  ensureStarter(opened, config.policyFile)
  await opened.audit.flush()
  print(options, { root: root.name, issuing: issuing.name, home }, () => `The certificate authority of ${home} is ready.\nNext: sallyport serve --home ${home}`)
}

export async function show(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const items = await desk.cas()
    // A column that says nothing is not shown.
    const limited = items.some(({ ids }) => ids !== undefined)
    print(options, { items }, () => table([['NAME', 'ROLE', 'STATE', ...(limited ? ['MAY NAME'] : []), 'SUBJECT', 'EXPIRES', 'SHA-256'], ...items.map((ca) => [ca.name, ca.role, ca.state, ...(limited ? [ca.ids?.join(' ') ?? '-'] : []), ca.subject, time(ca.notAfter), ca.sha256])]))
  })
}
