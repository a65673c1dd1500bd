#!/usr/bin/env node
// The first thing that runs: makes sure of a runtime that can read the rest, and hands over to cli.ts. With an older Node it
// starts the one that the package brought along. Plain old JavaScript on purpose.
'use strict'

var runtime = require('./require-runtime.cjs')
var path = require('path')

if (runtime.isRuntimeGood()) {
  // node:sqlite and the TypeScript loader announce themselves as experimental at every start; everything else is heard.
  var emitWarning = process.emitWarning
  process.emitWarning = function (warning, type) {
    var kind = typeof type === 'string' ? type : type && type.type
    if (kind === 'ExperimentalWarning') return
    return emitWarning.apply(process, arguments)
  }
  import('./cli.ts').then(function (cli) {
    return cli.run(process.argv.slice(2))
  }).catch(function (error) {
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
  var candidates = [path.join(__dirname, '..', 'node_modules', folder, 'bin', name), path.join(__dirname, '..', '..', folder, 'bin', name)]
  return candidates.find(function (file) { return fs.existsSync(file) })
}

function handOver() {
  var node = bundledRuntime()
  if (node === undefined) return runtime.complain()
  var child = require('child_process').spawn(node, [__filename].concat(process.argv.slice(2)), { stdio: 'inherit' })
  var signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  signals.forEach(function (signal) { process.on(signal, function () { child.kill(signal) }) })
  child.on('exit', function (code, signal) {
    if (signal !== null) {
      signals.forEach(function (s) { process.removeAllListeners(s) })
      process.kill(process.pid, signal)
    } else process.exitCode = code
  })
}
