// The vocabulary, built from the core's tables.

import { call } from './errors.js'
import { native, tables } from './native.js'

const member = (value) => [value.toUpperCase(), value]
const names = Object.fromEntries(tables.names.map(({ name, values }) => [name, Object.freeze(Object.fromEntries(values.map(member)))]))
const maps = Object.fromEntries(tables.maps.map(({ name, rows }) => [name, Object.freeze(Object.fromEntries(rows))]))

export const {
  AgentPhase,
  OutputType,
  AgentStatus,
  AgentRole,
  PipelineStatus,
  StageType,
  StageStatus,
  Tier,
  Capability,
  PromotionStatus,
  Severity,
  ViolationType,
  RevocationType,
  IntegrationEventType,
  ChaosCondition,
  FallbackAction,
  GammaReason,
  Section,
} = names
export const ViolationSeverity = Severity

export const { PHASE_OUTPUT_TYPES, VIOLATION_SEVERITY_MAP, INTEGRATION_EVENT_PHASE_MAP } = maps

export const { DEFAULT_REDIS_HOST, DEFAULT_REDIS_PORT, DEFAULT_LEDGER_PATH } = tables.constants
export const AGENT_PHASE_NAMES = Object.freeze(tables.constants.AGENT_PHASE_NAMES)
export const AGENT_PHASES_ORDERED = Object.freeze(tables.constants.AGENT_PHASES_ORDERED)

export const getOutputTypeForPhase = (phase) => call(() => native.outputTypeForPhase(phase))
export const isTerminalPhase = (phase) => call(() => native.isTerminalPhase(phase))
export const nextPhase = (phase) => call(() => native.nextPhase(phase))

export const RedisKeys = Object.freeze({
  agentState: (agentId) => call(() => native.agentStateKey(agentId)),
  agentLock: (agentId) => call(() => native.agentLockKey(agentId)),
  projectAgents: (projectId) => call(() => native.projectAgentsKey(projectId)),
})
