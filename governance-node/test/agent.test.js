// Agents in JavaScript: at a supervisor's seat, and what only this language adds. Runs under `node --test` and under `bun test`.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { Governance, InvalidError, RevokedError } from '../index.js'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'governance-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const seat = fileURLToPath(new URL('./seat.js', import.meta.url))

test('a run is carried out with an agent in this runtime beside a built-in one', { timeout: 60_000 }, async () => {
  assert.ok(process.env.GOVERNANCE_BIN, '`GOVERNANCE_BIN` names the command line: use `tests/run node`')
  const home = join(folder, 'run')
  const { stdout } = await run(process.env.GOVERNANCE_BIN, [
    'run', 'Design a caching strategy', '--home', home, '--json', '--agent', `alpha='${process.execPath}' '${seat}'`,
  ])
  const outcome = JSON.parse(stdout.trim().split('\n').at(-1))
  assert.equal(outcome.status, 'COMPLETED')
  assert.equal(outcome.agents.find(({ role }) => role === 'alpha').runtime, process.versions.bun ? 'bun' : 'node')
})

test('without a supervisor there is no seat', { timeout: 20_000 }, async () => {
  const child = execFile(process.execPath, [seat])
  let told = ''
  child.stderr.on('data', (piece) => (told += piece))
  child.stdin.end('nobody\n')
  const code = await new Promise((resolve) => child.once('exit', resolve))
  assert.equal(code, 1)
  assert.match(told, /no_seat|holds no seat/)
})

test('a step that is run reports what became of it', { timeout: 20_000 }, async () => {
  const governance = await Governance.open({ home: join(folder, 'steps') })
  const pipeline = await governance.begin('Design a caching strategy')
  const [alpha, beta] = [await governance.agent('alpha', pipeline), await governance.agent('beta', pipeline)]
  const bus = alpha.bus
  assert.equal(alpha.bus, bus)
  await bus.send(beta.id, 1)
  assert.equal(await (await beta.nextStep()).run((step) => assert.equal(step.message.body, 1)), true)
  await bus.send(beta.id, 2)
  const thrown = () => {
    throw Object.assign(new Error('inside a callback'), { code: 'on_purpose' })
  }
  assert.equal(await (await beta.nextStep()).run(thrown), false)
  assert.deepEqual(await beta.budget.faults().then(({ total_errors }) => total_errors), 1)
  await bus.send(beta.id, 3)
  const step = await beta.nextStep()
  await governance.revocations.revoke(beta.id, 'manual', 'a drill')
  await assert.rejects(step.run(() => beta.blackboard.post('progress', 'late', 1)), RevokedError)
  assert.deepEqual((await beta.nextEvent()).event, 'revoked')
  assert.throws(() => beta.check(), RevokedError)
  const left = alpha.steps()
  const waits = left.next()
  await left.return()
  assert.equal((await waits).done, true)
  await alpha.leave()
  await governance.close()
  assert.throws(() => alpha.check(), { code: 'closed' })
})

test('a check takes numbers, and answers at once', { timeout: 20_000 }, async () => {
  const governance = await Governance.open({ home: join(folder, 'checks') })
  const budget = await governance.budget('spender')
  await budget.grant('calls', 10)
  const share = await budget.allowance('calls', 10, 60_000)
  await share.draw(1)
  for (const odd of [NaN, -1, 0.5, 2 ** 53]) assert.throws(() => share.tryDraw(odd), (error) => error instanceof InvalidError && error.code === 'not_whole')
  for (const odd of ['1', undefined, 1n, {}]) assert.throws(() => share.tryDraw(odd), InvalidError)
  assert.deepEqual([share.tryDraw(4), share.left(), share.tryDraw(6)], [true, 5, false])
  await governance.close()
  assert.throws(() => share.tryDraw(1), { code: 'closed' })
})
