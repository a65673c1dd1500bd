// sallyport console: a link that opens the console of the running server.

import { print, time, withDesk, type CommonOptions } from './context.ts'

export async function consoleCommand(options: CommonOptions): Promise<void> {
  await withDesk(options, async (desk) => {
    const made = await desk.makeConsoleLink()
    print(options, made, () => `${made.url}\nIt opens the console once, in a browser on this machine, until ${time(made.expiresAt)}.`)
  })
}
