// The profiles that come with the program, certs/profiles/*.yaml, for everything that issues and for the signer.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { collectProfiles, parseProfile, type Profiles } from './ca/profiles.ts'
import { SallyportError } from './core/errors.ts'
import { describeProblem } from './core/source-tree.ts'
import { readYaml } from './yaml-source.ts'

/** Of this package, in which this file is one folder deep as source, and two when it is compiled. The signer, who looks here, too, may read little else. */
const above = path.resolve(import.meta.dirname, '..')
export const PACKAGE_FILE = path.join(existsSync(path.join(above, 'package.json')) ? above : path.dirname(above), 'package.json')
export const PROFILES_FOLDER = path.join(path.dirname(PACKAGE_FILE), 'certs/profiles')

/** Failure: 'profile-invalid'. */
export function loadProfiles(): Profiles {
  const files = readdirSync(PROFILES_FOLDER).filter((name) => name.endsWith('.yaml')).toSorted()
  return collectProfiles(
    files.map((name) => {
      const { tree, problems } = readYaml(`certs/profiles/${name}`, readFileSync(path.join(PROFILES_FOLDER, name), 'utf8'))
      if (tree === undefined) throw new SallyportError('profile-invalid', problems.map(describeProblem).join('\n'))
      return parseProfile(tree)
    }),
  )
}
