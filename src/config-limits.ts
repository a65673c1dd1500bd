// Bounds of the files that the configuration names. They import nothing.

export const CONFIG_LIMITS = {
  /** A value, or a token. */
  valueBytesMax: 65_536,
  /** All CAs that a machine trusts fit in. */
  pemBytesMax: 1_048_576,
} as const
