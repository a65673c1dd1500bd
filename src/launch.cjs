#!/usr/bin/env node
// The first thing that runs: makes sure of a runtime that can read the rest, and hands over to cli.ts. Plain old JavaScript
// on purpose: it must parse where nothing else does.
'use strict'

require('./require-runtime.cjs').launch(__filename, function () {
  return require('./cli.ts').run(process.argv.slice(2))
})
