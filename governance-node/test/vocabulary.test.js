// Runs under `node --test` and under `bun test`.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import * as governance from '../index.js'
import { tables } from '../native.js'

test('everything in the core has its export, and the declarations say the same', () => {
  const declared = readFileSync(new URL('../index.d.ts', import.meta.url), 'utf8')
  for (const { name, values } of tables.names) {
    assert.deepEqual(Object.values(governance[name]), values)
    const written = declared.match(new RegExp(`const ${name}: \\{([^}]*)\\}`))[1]
    assert.deepEqual([...written.matchAll(/readonly (\w+): '(\w+)'/g)].map((m) => m[2]), values, name)
    assert.deepEqual([...written.matchAll(/readonly (\w+): '(\w+)'/g)].map((m) => m[1]), Object.keys(governance[name]), name)
  }
  for (const { name, rows } of tables.maps) assert.deepEqual(Object.entries(governance[name]), rows)
  for (const { class: name } of tables.errors) assert.ok(governance[name].prototype instanceof governance.GovernanceError, name)
  for (const name of Object.keys(governance)) assert.match(declared, new RegExp(`(const|class|function) ${name}\\b`), name)
})

test('the vocabulary says what existing agents rely on', () => {
  const { AgentPhase, OutputType, RedisKeys } = governance
  assert.equal(governance.AGENT_PHASES_ORDERED.length, 8)
  assert.deepEqual(governance.AGENT_PHASE_NAMES.at(-1), 'REVOKED')
  assert.equal(governance.PHASE_OUTPUT_TYPES[AgentPhase.PLAN], OutputType.BETA)
  assert.equal(governance.PHASE_OUTPUT_TYPES.REVOKED, null)
  assert.equal(governance.VIOLATION_SEVERITY_MAP.lock_lost, 'HIGH')
  assert.equal(governance.ViolationSeverity, governance.Severity)
  assert.deepEqual([governance.INTEGRATION_EVENT_PHASE_MAP.plan_created, governance.INTEGRATION_EVENT_PHASE_MAP.heartbeat], ['PLAN', null])
  assert.equal(governance.getOutputTypeForPhase('PACKAGE'), 'Gamma')
  assert.equal(governance.getOutputTypeForPhase('REVOKED'), null)
  assert.deepEqual([governance.isTerminalPhase('EXIT'), governance.isTerminalPhase('REPORT')], [true, false])
  assert.deepEqual([governance.nextPhase('VERIFY'), governance.nextPhase('EXIT')], ['PACKAGE', null])
  assert.equal(RedisKeys.agentState('alpha-1'), 'agent:alpha-1:state')
  assert.equal(RedisKeys.agentLock('alpha-1'), 'agent:alpha-1:lock')
  assert.equal(RedisKeys.projectAgents('p'), 'project:p:agents')
  assert.throws(() => RedisKeys.agentState('a:b'), governance.InvalidError)
  assert.deepEqual([governance.DEFAULT_REDIS_HOST, governance.DEFAULT_REDIS_PORT, governance.DEFAULT_LEDGER_PATH], ['127.0.0.1', 6379, 'governance.db'])
})
