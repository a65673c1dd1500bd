#!/usr/bin/env node
// What `sallyport` runs: the compiled program of a package, or the source of a clone. Plain old JavaScript on purpose: it must
// parse where nothing else does.
'use strict'

var existsSync = require('fs').existsSync
var path = require('path')

var source = path.join(__dirname, '../src/launch.cjs')
require(existsSync(source) ? source : '../dist/src/launch.cjs')
