#!/usr/bin/env node
// What `npm run sim` runs: makes sure of a runtime that can read the rest, as the server does, and hands over to main.ts.
// Plain old JavaScript on purpose: it must parse where nothing else does.
'use strict'

var existsSync = require('fs').existsSync
var path = require('path')

require('../src/require-runtime.cjs').launch(__filename, function () {
  return require(existsSync(path.join(__dirname, 'main.ts')) ? './main.ts' : './main.js').run(process.argv.slice(2))
})
