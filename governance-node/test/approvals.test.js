// What an agent may do only with a person's approval waits for it, and runs once; who has ended what, receipts tell. Runs under `node --test` and
// under `bun test`.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { Governance } from '../index.js'

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'governance-'))
after(() => rmSync(folder, { recursive: true, force: true }))
const builder = fileURLToPath(new URL('./builder.js', import.meta.url))

const withAnn = async (home) => {
  assert.ok(process.env.GOVERNANCE_BIN, '`GOVERNANCE_BIN` names the command line: use `tests/run node`')
  const key = `${home}.key`
  await run(process.env.GOVERNANCE_BIN, ['approvers', 'add', 'ann', '--key', key, '--no-passphrase', '--home', home])
  return { key, governance: await Governance.open({ home }) }
}

test('a person approves, and the call runs once', { timeout: 60_000 }, async () => {
  const home = join(folder, 'approved')
  const { key, governance } = await withAnn(home)
  // No process of an agent approves, nor one that it starts: so the agent lives in another one than the person.
  const agent = execFile(process.execPath, [builder, home])
  const said = once(agent.stdout, 'data')
  let asked
  for await (const { alerts } of governance.newAlerts()) {
    asked = alerts.find(({ type }) => type === 'approval_required')?.data.approval_id
    if (asked) break
  }
  const [waiting, ...others] = await governance.approvals.list(5)
  assert.deepEqual([waiting.request.id, waiting.state, waiting.arguments, others], [asked, 'pending', '["a.tfplan"]', []])
  await assert.rejects(governance.approvals.decide(asked, '0000', 'approve', key), { code: 'not_what_was_shown' })
  const { approved } = await governance.approvals.decide(asked, waiting.hash, 'approve', key, { note: 'as agreed' })
  assert.deepEqual(approved.map(({ approver, note }) => [approver, note]), [['ann', 'as agreed']])
  assert.equal(String(await said), 'A.TFPLAN\n')
  assert.equal((await governance.approvals.approval(asked)).state, 'used')
  const stop = await governance.revocations.stopAll('a drill')
  const { receipts } = await governance.revocations.confirmed(stop.generation, 10_000)
  const runtime = process.versions.bun ? 'bun' : 'node'
  assert.deepEqual(receipts.map(({ state, runtime, pid }) => [state, runtime, pid]), [['confirmed', runtime, agent.pid]])
  const exit = once(agent, 'exit')
  agent.stdin.end('done\n')
  await exit
  await governance.close()
})

test("an agent's own process does not approve", { timeout: 60_000 }, async () => {
  const { key, governance } = await withAnn(join(folder, 'refused'))
  const agent = await governance.agent('builder', await governance.begin('ship it'), { role: 'alpha', tier: 'T2' })
  const ran = []
  const [action, target, risks] = ['terraform_apply', 'prod-web', ['irreversible']]
  const apply = agent.govern((n) => ran.push(n), { action, target, risks })
  const refused = await apply(1).catch((error) => error)
  const [waiting] = await governance.approvals.list(5)
  assert.deepEqual([refused.code, refused.details.approval.id], ['approval_required', waiting.request.id])
  assert.deepEqual(waiting.request.risks, risks)
  await assert.rejects(governance.approvals.decide(waiting.request.id, waiting.hash, 'approve', key), { code: 'governed_process' })
  // An approval is of one call, to the last byte.
  const other = agent.govern((n) => ran.push(n), { action, target, risks, approval: waiting.request.id })
  await assert.rejects(other(2), { code: 'approval_bypass' })
  assert.deepEqual(ran, [])
  await governance.close()
})
