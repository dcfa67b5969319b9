// Runs under `node --test` and under `bun test`.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import * as governance from '../index.js'
import { Governance, Section } from '../index.js'

const run = promisify(execFile)
const homes = []
const home = () => {
  homes.push(mkdtempSync(join(tmpdir(), 'governance-')))
  return join(homes.at(-1), 'home')
}
after(() => homes.forEach((each) => rmSync(each, { recursive: true, force: true })))

/** The command line that was built with this addon. */
const cli = (...args) => {
  const program = process.env.GOVERNANCE_BIN
  assert.ok(program, '`GOVERNANCE_BIN` names the command line: use `tests/run node`')
  return run(program, args)
}

test('an entry comes back as it was written', async () => {
  const opened = await Governance.open({ home: home() })
  const board = await opened.blackboard('caching', 'beta-1')
  const content = { ttl: 60, parts: ['é', null, true, -1.5], deep: { 'a key': Number.MAX_SAFE_INTEGER } }
  assert.equal(await board.post(Section.SOLUTIONS, 'write-through', content), 1)
  const entry = await board.entry('solutions', 'write-through')
  assert.deepEqual(entry.content, content)
  assert.deepEqual([entry.section, entry.name, entry.version, entry.author, entry.removed], ['solutions', 'write-through', 1, 'beta-1', false])
  assert.ok(Math.abs(Date.now() - entry.at) < 60_000)
  assert.deepEqual(await board.entries('solutions'), [entry])
  assert.equal(await board.entry('solutions', 'nothing'), null)
  await opened.close()
})

test('of two writers from one version one is told who was first', async () => {
  const opened = await Governance.open({ home: home() })
  const [alpha, beta] = [await opened.blackboard('t', 'alpha-1'), await opened.blackboard('t', 'beta-1')]
  assert.deepEqual(await alpha.putIf('progress', 'plan', 1, 0), { accepted: 1 })
  const both = await Promise.all([alpha.putIf('progress', 'plan', 'a', 1), beta.putIf('progress', 'plan', 'b', 1)])
  assert.deepEqual(both.filter((written) => written.accepted), [{ accepted: 2 }])
  assert.deepEqual(both.filter((written) => written.conflict), [{ conflict: 2 }])
  await opened.close()
})

test('an error has the class of its kind, a code and details', async () => {
  const opened = await Governance.open({ home: home() })
  const board = await opened.blackboard('t', 'alpha-1')
  await board.post('problem', 'plan', 'first')
  const taken = await board.post('problem', 'plan', 'second').catch((error) => error)
  assert.ok(taken instanceof governance.ConflictError && taken instanceof governance.GovernanceError && taken instanceof Error)
  assert.equal(taken.name, 'ConflictError')
  assert.equal(taken.kind, 'conflict')
  assert.equal(taken.code, 'version_conflict')
  assert.equal(typeof taken.details, 'object')
  assert.match(taken.message, /expected 0, found 1/)
  // Bun keeps no stack across an await.
  if (!process.versions.bun) assert.match(taken.stack, /governance\.test\.js/)
  await assert.rejects(board.entries('opinions'), governance.InvalidError)
  await assert.rejects(opened.blackboard('no spaces', 'alpha-1'), { code: 'invalid_id' })
  for (const version of [-1, 1.5, '1', null, 2 ** 53]) await assert.rejects(board.putIf('problem', 'plan', 1, version), { code: 'not_whole' })
  const circle = {}
  circle.self = circle
  for (const content of [undefined, () => 1, NaN, 1n, circle]) await assert.rejects(board.post('problem', 'odd', content), { code: 'not_json' })
  await assert.rejects(Governance.open({ home: home(), store: 'mysql://x' }), { code: 'unknown_store_url' })
  assert.throws(() => governance.nextPhase('LUNCH'), governance.InvalidError)
  await opened.close()
})

test('a handle closes itself where its scope ends', async () => {
  const opened = await Governance.open({ home: home() })
  assert.match(opened.storeUrl, /^sqlite:.*state\.db$/)
  await opened[Symbol.asyncDispose]()
})

test('an agent that is revoked, or whose governance was closed, is left quietly', { timeout: 20_000 }, async () => {
  const opened = await Governance.open({ home: home() })
  const pipeline = await opened.begin('o')
  const [alpha, beta] = [await opened.agent('alpha', pipeline), await opened.agent('beta', pipeline)]
  await opened.revocations.revoke(alpha.id, 'manual', 'a drill')
  await alpha[Symbol.asyncDispose]()
  await assert.rejects(alpha.leave(), { code: 'revoked' })
  await opened.close()
  await beta[Symbol.asyncDispose]()
  await assert.rejects(beta.leave(), { code: 'closed' })
})

test('two processes share one blackboard', async () => {
  const [shared, each] = [home(), 50]
  const writer = fileURLToPath(new URL('./writer.js', import.meta.url))
  await Promise.all(['alpha-1', 'beta-1'].map((author) => run(process.execPath, [writer, shared, author, String(each)])))
  const opened = await Governance.open({ home: shared })
  const board = await opened.blackboard('t', 'gamma-1')
  const { content, version } = await board.entry('progress', 'count')
  assert.deepEqual([content, version], [2 * each, 2 * each])
  await opened.close()
})

test('the command line and this process share one blackboard', async () => {
  const shared = home()
  const ran = await cli('run', 'Design a caching strategy', '--home', shared, '--json')
  const listed = await cli('pipeline', 'list', '--home', shared, '--json')
  const task = JSON.parse(listed.stdout.trim().split('\n')[0]).pipeline_id
  assert.ok(ran.stdout.includes(task))
  const opened = await Governance.open({ home: shared })
  const board = await opened.blackboard(task, 'beta-9')
  assert.ok((await board.entries('solutions')).length > 0)
  await board.post('progress', 'from-javascript', { title: 'seen from here' })
  await opened.close()
  const shown = await cli('blackboard', 'show', task, '--home', shared, '--json')
  const entries = shown.stdout.trim().split('\n').map((line) => JSON.parse(line))
  assert.ok(entries.some((entry) => entry.author === 'beta-9' && entry.content.title === 'seen from here'))
})
