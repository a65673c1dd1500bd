// Makes sure of a runtime that can read the rest, before anything fails in a hundred lines: with an older Node it hands over
// to the one that the package brought along, and where there is none it says in one line what is wrong. Both programs start
// through it. Plain old JavaScript on purpose: it must parse where nothing else here does.
'use strict'

var path = require('path')

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

/** Runs `begin`, which returns a promise, here or hands `script` and its arguments over to a runtime that can run it. */
function launch(script, begin) {
  if (!isRuntimeGood()) return handOver(script)
  // node:sqlite announces itself as experimental at every start; every other warning is heard.
  var emitWarning = process.emitWarning
  process.emitWarning = function (warning) {
    if (/^SQLite is an experimental feature/.test(String(warning))) return
    return emitWarning.apply(process, arguments)
  }
  // What was stripped and compiled once need not be again: a command takes half the time. In a folder that belongs to whoever
  // installed us, never in a shared one: who writes there runs code here. Where it cannot be written, there is none.
  require('module').enableCompileCache(path.join(packageFolder(), 'node_modules', '.cache', 'sallyport'))
  begin().catch(function (error) {
    process.stderr.write('sallyport: ' + (error && error.stack ? error.stack : error) + '\n')
    process.exitCode = 1
  })
}

/** The folder with package.json, of which this file is a part as source or compiled. */
function packageFolder() {
  var above = path.join(__dirname, '..')
  return require('fs').existsSync(path.join(above, 'package.json')) ? above : path.join(above, '..')
}

function bundledRuntime() {
  var fs = require('fs')
  var name = process.platform === 'win32' ? 'node.exe' : 'node'
  var folder = 'node-' + (process.platform === 'win32' ? 'win' : process.platform) + '-' + process.arch
  // Beside our own dependencies, or lifted to a folder that holds us both: where Node would look for it.
  for (var at = __dirname; ; at = path.dirname(at)) {
    var candidate = path.join(at, 'node_modules', folder, 'bin', name)
    if (fs.existsSync(candidate)) return candidate
    if (path.dirname(at) === at) return undefined
  }
}

function handOver(script) {
  var node = bundledRuntime()
  if (node === undefined) return complain()
  var child = require('child_process').spawn(node, [script].concat(process.argv.slice(2)), { stdio: 'inherit' })
  var signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  signals.forEach(function (signal) { process.on(signal, function () { child.kill(signal) }) })
  // The wrong libc or architecture, or a file that may not be executed.
  child.on('error', function () { complain() })
  child.on('exit', function (code, signal) {
    if (signal !== null) {
      signals.forEach(function (s) { process.removeAllListeners(s) })
      process.kill(process.pid, signal)
    } else process.exitCode = code
  })
}

module.exports = { launch: launch }

if (require.main === module && !isRuntimeGood()) complain()
