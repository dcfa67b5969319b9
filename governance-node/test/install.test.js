// Installing from a checkout, as far as it needs no compiler: what is there is used, what is missing is named. And the command.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('..', import.meta.url))
const folders = []
const folder = () => {
  folders.push(mkdtempSync(join(tmpdir(), 'governance-')))
  return folders.at(-1)
}
after(() => folders.forEach((each) => rmSync(each, { recursive: true, force: true })))

const ran = (program, args, options) =>
  new Promise((resolve) => execFile(program, args, options, (error, out, told) => resolve({ code: error ? error.code : 0, told: `${out}${told}` })))

/** A checkout's bones, with what was built from it or without. */
const checkout = ({ built, sources = true }) => {
  const root = folder()
  const own = join(root, 'governance-node')
  mkdirSync(own)
  cpSync(join(here, 'install.js'), join(own, 'install.js'))
  writeFileSync(join(own, 'package.json'), '{"type": "module"}')
  if (sources) {
    mkdirSync(join(root, 'governance'))
    for (const file of ['Cargo.toml', 'governance/Cargo.toml', 'governance-node/Cargo.toml']) writeFileSync(join(root, file), '')
  }
  for (const name of built ? ['governance', 'governance.node'] : []) {
    writeFileSync(join(own, name), '')
    utimesSync(join(own, name), built, built)
  }
  return own
}

/** Installs where only Node is on the PATH. */
const install = (own, env = {}) => {
  const bin = folder()
  symlinkSync(process.execPath, join(bin, 'node'))
  return ran(process.execPath, ['install.js'], { cwd: own, env: { PATH: bin, ...env } })
}
const later = new Date(Date.now() + 60_000)
const earlier = new Date(Date.now() - 3_600_000)

test('without Rust and without anything built, the missing part is named with what installs it', async () => {
  const { code, told } = await install(checkout({}))
  assert.equal(code, 1)
  assert.match(told, /Rust is missing, and nothing was built before/)
  assert.match(told, /install it with: curl .*sh\.rustup\.rs/)
})

test('what is built and newer than its sources is used as it is', async () => {
  assert.deepEqual(await install(checkout({ built: later })), { code: 0, told: '' })
  assert.deepEqual(await install(checkout({ built: earlier, sources: false })), { code: 0, told: '' })
})

test('what is older than its sources is not used in silence', async () => {
  const { code, told } = await install(checkout({ built: earlier }))
  assert.equal(code, 1)
  assert.match(told, /older than its sources, and Rust is missing/)
})

test('a copy without anything built says where to build it', async () => {
  const { code, told } = await install(checkout({ sources: false }))
  assert.equal(code, 1)
  assert.match(told, /run `node governance-node\/install.js` in the checkout/)
})

test('who builds by other means may skip it', async () => {
  assert.equal((await install(checkout({}), { GOVERNANCE_BUILD: 'skip' })).code, 0)
})

const command = join(here, 'bin', 'governance.js')
const env = { ...process.env, GOVERNANCE_HOME: join(folder(), 'home') }

test('the command gives the exit code of the program, and its output', { timeout: 30_000 }, async () => {
  assert.ok(process.env.GOVERNANCE_BIN, '`GOVERNANCE_BIN` names the command line: use `tests/run node`')
  assert.match((await ran(process.execPath, [command, '--version'], { env })).told, /^governance \d/)
  const missing = await ran(process.execPath, [command, 'pipeline', 'status'], { env })
  assert.equal(missing.code, 1)
  assert.match(missing.told, /there is nothing in/)
  const nowhere = await ran(process.execPath, [command], { env: { ...env, GOVERNANCE_BIN: join(dirname(command), 'nothing') } })
  assert.equal(nowhere.code, 1)
  assert.match(nowhere.told, /Build it: node .*install\.js/)
})

test('Ctrl-C ends what the command does, and a signal sent to it alone is passed on', { timeout: 30_000 }, async () => {
  const waits = join(folder(), 'waits')
  // Says when it listens, and ends as it was told to.
  writeFileSync(waits, '#!/bin/sh\ntrap "exit 42" INT\ntrap "exit 43" TERM\necho ready\nwhile :; do sleep 0.05; done\n')
  chmodSync(waits, 0o755)
  for (const [signal, group, code] of [['SIGINT', true, 42], ['SIGTERM', false, 43]]) {
    const child = spawn(process.execPath, [command], { detached: true, stdio: ['ignore', 'pipe', 'inherit'], env: { ...env, GOVERNANCE_BIN: waits } })
    await new Promise((resolve) => child.stdout.once('data', resolve))
    const ended = new Promise((resolve) => child.once('exit', (...how) => resolve(how)))
    process.kill(group ? -child.pid : child.pid, signal)
    assert.deepEqual(await ended, [code, null], signal)
  }
})
