// Conditions that the command line put in force are in force here; and checks that are made in JavaScript. Runs under `node --test` and under `bun test`.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { promisify } from 'node:util'

import { DeniedError, Governance, InvalidError } from '../index.js'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'governance-'))
after(() => rmSync(folder, { recursive: true, force: true }))

const PROFILE = `
agent_id: buyer
agent_version: "1"
tier: T1
constraints:
  allowed_actions: [buy, drop_table]
conditions: |
  permit (principal, action, resource);

  @id("limit") @reason("at most 100 can be spent, and the amount must be said") @violation("none")
  forbid (principal, action == Action::"buy", resource)
  unless { context.numbers.hasTag("amount") && context.numbers.getTag("amount") <= 100 };

  @id("for-good") @decision("step_up") @reason("this cannot be undone")
  forbid (principal, action, resource)
  when { context.risks.contains("irreversible") };
`

const opened = async (name, work) => {
  const governance = await Governance.open({ home: join(folder, name) })
  try {
    await work(governance)
  } finally {
    await governance.close()
  }
}

test('an argument is held to what the command line put in force, and a risk needs a person', { timeout: 60_000 }, async () => {
  assert.ok(process.env.GOVERNANCE_BIN, '`GOVERNANCE_BIN` names the command line: use `tests/run node`')
  writeFileSync(join(folder, 'buyer.yaml'), PROFILE)
  await run(process.env.GOVERNANCE_BIN, ['policy', 'apply', join(folder, 'buyer.yaml'), '--home', join(folder, 'conditions')])
  await opened('conditions', async (governance) => {
    const agent = await governance.agent('buyer', await governance.begin('buy something'), { role: 'alpha', tier: 'T1' })
    const buy = agent.govern(({ amount }) => amount, { action: 'buy' })
    assert.equal(await buy({ amount: 100 }), 100)
    const refused = await buy({ amount: 101 }).catch((error) => error)
    assert.ok(refused instanceof DeniedError && refused.code === 'not_allowed', refused.stack)
    assert.match(refused.message, /`limit` of the profile `buyer`: at most 100 can be spent/)
    assert.equal(refused.details.decision.violation, null)
    await assert.rejects(buy({ amount: '1' }), /the argument `amount` cannot be read/)
    await assert.rejects(buy(), /`limit`/)
    assert.equal(await agent.govern(() => 1, { action: 'drop_table', risks: ['costly'] })(), 1)
    await assert.rejects(agent.govern(() => 1, { action: 'drop_table', risks: ['irreversible'] })(), { code: 'approval_required' })
    assert.throws(() => agent.govern(() => 1, { action: 'drop_table', risks: 'irreversible' }), { code: 'unclear_tool' })
    await agent.leave()
  })
})

test('a check passes that answers nothing or true', { timeout: 20_000 }, async () => {
  await opened('answers', async (governance) => {
    const agent = await governance.agent('alpha', await governance.begin('o'))
    const thrown = () => {
      throw new RangeError('unplugged')
    }
    const report = await agent.preflight({ nothing: () => {}, yes: async () => true, no: () => false, why: async () => 'no inventory', thrown, git: { dependencies: ['sh'] } })
    const reasons = Object.fromEntries(report.checks.slice(5).map(({ name, reason }) => [name, reason]))
    const expected = { nothing: undefined, yes: undefined, no: 'the check answered false', why: 'no inventory', thrown: 'RangeError: unplugged', git: undefined }
    assert.deepEqual([report.passed, reasons], [false, expected])
    assert.deepEqual((await governance.agentRecord(agent.id)).preflight, report)
    assert.equal((await agent.preflight({})).passed, true)
    for (const wrong of [{ x: null }, { x: 5 }, { x: { sandbix: '/' } }, { ['x'.repeat(300)]: () => {} }]) {
      await assert.rejects(agent.preflight(wrong), (error) => error instanceof InvalidError && ['wrong_shape', 'bad_check'].includes(error.code))
    }
    await agent.leave()
  })
})

test('a check that is late has failed, and nobody waits for it', { timeout: 20_000 }, async () => {
  await opened('late', async (governance) => {
    const agent = await governance.agent('alpha', await governance.begin('o'))
    let end
    const held = new Promise((resolve) => (end = resolve))
    const report = await agent.preflight({ held: () => held, fine: () => true }, { within: 1_000 })
    assert.deepEqual(report.checks.slice(5).map(({ passed }) => passed), [false, true])
    assert.match(report.checks[5].reason, /longer than 1000 ms/)
    end('too late')
    await agent.leave()
  })
})

test('nothing is done after the deadline of an instruction', { timeout: 20_000 }, async () => {
  await opened('deadline', async (governance) => {
    const agent = await governance.agent('alpha', await governance.begin('look'))
    const tool = agent.govern(() => 1, { action: 'read_file' })
    assert.equal(await tool(), 1)
    const packet = await governance.instruct(agent.id, { deadline: 1_000, evidenceRequired: ['tests'] })
    assert.deepEqual(await agent.packet(), packet)
    await assert.rejects(tool(), /time was over/)
    await governance.instruct(agent.id)
    assert.equal((await agent.packet()).deadline, null)
    assert.equal(await tool(), 1)
    await agent.leave()
  })
})
