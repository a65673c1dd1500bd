// The bounds of PKCS#12 bundles, with what each stops. It imports nothing.

export const KEY_STORE_LIMITS = {
  /** Whoever finds a file guesses its password as fast as he can hash. So often for each guess where a person chose it; Java's own default is 10,000. */
  roundsOfChosenPassword: 200_000,
  /** Of 130 random bits nobody tries a part: more would only slow an import down. */
  roundsOfMadePassword: 10_000,
  passwordCharsMin: 8,
  passwordCharsMax: 128,
} as const
