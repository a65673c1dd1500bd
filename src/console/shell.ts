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
