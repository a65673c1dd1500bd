// The bounds of backups, each with its unit in the name and the attack that it
// stops. Apart from limits.ts because they concern nobody else.

/** Backups. */
export const BACKUP_LIMITS = {
  /** Files are saved in pieces of this size: a log of gigabytes is never in memory. */
  chunkBytes: 1_048_576,
  /** Keys and files that change while the registry is copied: the copy is made again, so often at most. */
  attemptsMax: 5,
  /** A manifest that somebody made up. */
  manifestCharsMax: 16 * 1_048_576,
  /** Names of what a restore would lose that are listed; all are counted. */
  namesShownMax: 20,
  /** An older backup is pointed out by doctor. */
  ageMs: 7 * 86_400_000,
} as const
