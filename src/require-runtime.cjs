// Says in one line what is wrong when the runtime is too old, before anything else fails in a hundred lines. Plain old
// JavaScript on purpose: it must parse where nothing else here does.
'use strict'

var MAJOR_MIN = 24

function isRuntimeGood() {
  return Number(process.versions.node.split('.')[0]) >= MAJOR_MIN
}

function complain() {
  process.stderr.write(
    'sallyport: Node ' + process.versions.node + ' is too old: Node ' + MAJOR_MIN + ' or newer is needed.\n' +
    'fix: run "npm ci" (on Linux and Windows it brings Node ' + MAJOR_MIN + ' along), or install Node ' + MAJOR_MIN + ' (macOS has no bundled runtime).\n'
  )
  process.exit(78)
}

module.exports = { isRuntimeGood: isRuntimeGood, complain: complain }

if (require.main === module && !isRuntimeGood()) complain()
