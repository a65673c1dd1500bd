// Reads vitest's JSON report and says how many passed and failed. A skipped test counts as failed unless the list names
// it with the reason why it cannot run here; an entry of the list that did run is out of date, and fails as well.
import { readFileSync } from 'node:fs'

const [reportFile, listFile] = process.argv.slice(2)
const report = JSON.parse(readFileSync(reportFile, 'utf8'))
const listed = new Map(JSON.parse(readFileSync(listFile, 'utf8')).map(({ test, reason }) => [test, reason]))

let passed = 0
const failures = []
const skipped = new Set()
for (const file of report.testResults) {
  // A file that fails to load has no assertions of its own.
  if (file.status === 'failed' && file.assertionResults.every((t) => t.status !== 'failed')) failures.push(`${file.name}: ${file.message}`)
  for (const { status, fullName } of file.assertionResults) {
    if (status === 'passed') passed += 1
    else if (status === 'failed') failures.push(fullName)
    else {
      skipped.add(fullName)
      if (listed.has(fullName)) console.log(`not run: ${fullName}: ${listed.get(fullName)}`)
      else failures.push(`${fullName}: skipped, and test/not-run.json does not say why`)
    }
  }
}
for (const name of listed.keys()) if (!skipped.has(name)) failures.push(`${name}: listed in test/not-run.json, but it ran or is gone`)

for (const failure of failures) console.log(`failed: ${failure}`)
if (passed === 0) failures.push('no test ran')
console.log(`${passed} passed, ${failures.length} failed`)
process.exitCode = failures.length === 0 ? 0 : 1
