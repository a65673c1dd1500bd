#!/usr/bin/env node
// The first thing that runs: makes sure of a runtime that can read the rest, and hands over to cli.ts. With an older Node it
// starts the one that the package brought along. Plain old JavaScript on purpose: it must parse where nothing else does.
'use strict'

var runtime = require('./require-runtime.cjs')
var path = require('path')

if (runtime.isRuntimeGood()) {
  // node:sqlite announces itself as experimental at every start; every other warning is heard.
  var emitWarning = process.emitWarning
  process.emitWarning = function (warning) {
    if (/^SQLite is an experimental feature/.test(String(warning))) return
    return emitWarning.apply(process, arguments)
  }
  // What was stripped and compiled once need not be again: a command takes half the time. In a folder that belongs to whoever
  // installed us, never in a shared one: who writes there runs code here. Where it cannot be written, there is none.
  require('module').enableCompileCache(path.join(__dirname, '..', 'node_modules', '.cache', 'sallyport'))
  require('./cli.ts').run(process.argv.slice(2)).catch(function (error) {
    process.stderr.write('sallyport: ' + (error && error.stack ? error.stack : error) + '\n')
    process.exitCode = 1
  })
} else {
  handOver()
}

function bundledRuntime() {
  var fs = require('fs')
  var name = process.platform === 'win32' ? 'node.exe' : 'node'
  var folder = 'node-' + (process.platform === 'win32' ? 'win' : process.platform) + '-' + process.arch
  // Beside our own dependencies, or lifted to the folder that holds us both.
  var candidates = [path.join(__dirname, '..', 'node_modules', folder, 'bin', name), path.join(__dirname, '..', '..', folder, 'bin', name)]
  return candidates.filter(function (file) { return fs.existsSync(file) })[0]
}

function handOver() {
  var node = bundledRuntime()
  if (node === undefined) return runtime.complain()
  var child = require('child_process').spawn(node, [__filename].concat(process.argv.slice(2)), { stdio: 'inherit' })
  var signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  signals.forEach(function (signal) { process.on(signal, function () { child.kill(signal) }) })
  // The wrong libc or architecture, or a file that may not be executed.
  child.on('error', function () { runtime.complain() })
  child.on('exit', function (code, signal) {
    if (signal !== null) {
      signals.forEach(function (s) { process.removeAllListeners(s) })
      process.kill(process.pid, signal)
    } else process.exitCode = code
  })
}
