#!/usr/bin/env node
// The command line: the program that was built beside the addon, with this terminal, its signals and its exit code.

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import { fileURLToPath } from 'node:url'

const program = process.env.GOVERNANCE_BIN ?? fileURLToPath(new URL('../governance', import.meta.url))
if (!existsSync(program)) {
  const install = fileURLToPath(new URL('../install.js', import.meta.url))
  console.error(`governance: the program is not built yet. Build it: node ${install}`)
  process.exit(1)
}

// Before the program begins: Ctrl-C reaches it by itself, it decides when to end, and this waits for it. What is sent to this process alone is
// passed on.
process.on('SIGINT', () => {})
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child?.kill(signal))
const child = spawn(program, process.argv.slice(2), { stdio: 'inherit' })
child.on('error', (error) => {
  console.error(`governance: \`${program}\` cannot be started: ${error.message}`)
  process.exit(1)
})
child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
