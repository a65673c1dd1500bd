// "Copy as CLI": the command that does what a button does. Whatever comes from outside is quoted, so that a paste into a shell
// runs this command and nothing else.

const PLAIN = /^[A-Za-z0-9_./:=@%+-]+$/

/** One word of a POSIX shell. What begins with a hyphen and is no option of ours would be taken for one. */
export function quoted(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`
}

export function command(...words: readonly string[]): string {
  return ['sallyport', ...words].map(quoted).join(' ')
}

/**
 * The command that lists what a page lists, with its filters. `flags`: filter of the address → option of the command; `spelled`: how a
 * filter's value is written there, where it is not the same.
 */
export function listCommand(noun: string, query: URLSearchParams, flags: Readonly<Record<string, string>>, spelled: Readonly<Record<string, (value: string) => string>> = {}): string {
  return command(noun, 'list', ...Object.entries(flags).flatMap(([filter, flag]) => {
    const value = query.get(filter) ?? ''
    // What begins with a hyphen would be an option.
    return value === '' ? [] : [`--${flag}=${spelled[filter]?.(value) ?? value}`]
  }))
}
