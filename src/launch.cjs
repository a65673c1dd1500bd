#!/usr/bin/env node
// The first thing that runs: makes sure of a runtime that can read the rest, and hands over to cli.ts. Plain old JavaScript
// on purpose: it must parse where nothing else does.
'use strict'

var existsSync = require('fs').existsSync
var path = require('path')

require('./require-runtime.cjs').launch(__filename, function () {
  // As source in a clone, compiled in a package: Node strips no types below node_modules.
  return require(existsSync(path.join(__dirname, 'cli.ts')) ? './cli.ts' : './cli.js').run(process.argv.slice(2))
})
