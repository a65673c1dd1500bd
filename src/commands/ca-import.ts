// sallyport ca csr | import: an issuing CA whose certificate is signed elsewhere.

import { writeFileSync } from 'node:fs'
import { print, readText, withDesk, type CommonOptions } from './context.ts'

const PUBLIC_MODE = 0o644

export async function csr(options: CommonOptions & { readonly out?: string }): Promise<void> {
  await withDesk(options, async (desk) => {
    const request = await desk.requestCa()
    if (options.out !== undefined) writeFileSync(options.out, request.csr, { mode: PUBLIC_MODE })
    print(options, request, () => (options.out === undefined ? request.csr.trimEnd() : `The request for ${request.ca} is in ${options.out}. When it is signed: sallyport ca import --cert FILE --chain FILE`))
  })
}

export async function importIssuing(options: CommonOptions & { readonly cert: string; readonly chain?: string; readonly ids?: readonly string[] }): Promise<void> {
  const source = { cert: readText(options.cert), ...(options.chain === undefined ? {} : { chain: readText(options.chain) }), ...(options.ids === undefined ? {} : { ids: options.ids }) }
  await withDesk(options, async (desk) => {
    const items = await desk.importCa(source)
    print(options, { items }, () => `${items.join(' and ')} ${items.length === 1 ? 'is' : 'are'} created.\nnext: sallyport ca rotate trust`)
  })
}
