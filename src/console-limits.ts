// The bounds of the console: its one-time links, its sessions and its files. They import nothing.

const SECOND = 1_000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

export const CONSOLE_LIMITS = {
  /** A link that lies about, in a scrollback or a chat, opens nothing any longer. */
  linkMs: 10 * MINUTE,
  /** Links that wait at one time; the oldest goes. */
  linksMax: 8,
  /** 256 random bits are not guessed; this keeps anybody from trying all day, and from filling the audit log. */
  linkTriesPerSecond: 1 / 6,
  linkTriesBurst: 10,
  secretBytes: 32,
  /** A browser that nobody sits at any longer, and one that somebody sits at for days. */
  sessionIdleMs: 30 * MINUTE,
  sessionMs: 12 * HOUR,
  /** Sessions at one time: the one that was idle longest ends. */
  sessionsMax: 32,
  /** What a browser says of itself, as it is kept. */
  agentCharsMax: 200,
  /** Files of the console, and the bytes of one: a folder that was mistaken for it is not read into memory. */
  filesMax: 64,
  fileBytesMax: 2 * 1024 * 1024,
  /** Lines of a policy that are laid against each other while somebody types: more would hold the event loop for longer than a frame. The command line has no such bound. */
  lintLinesMax: 2_000,
  /** Reports of the simulator: how many are listed, and how large one may be. */
  reportsMax: 200,
  reportBytesMax: 16 * 1024 * 1024,
} as const
