import { Agent } from './agent.js'
import { Approvals } from './approval.js'
import { Blackboard } from './blackboard.js'
import { ErrorBudget } from './budget.js'
import { MessageBus } from './bus.js'
import { concept } from './concept.js'
import { Consensus } from './consensus.js'
import { Ledger } from './ledger.js'
import { Limits } from './limits.js'
import { Policies } from './policies.js'
import { Promotions } from './promotions.js'
import { RevocationEngine } from './revocation.js'

/** Governed state: a store, its ledger, and everything that stands on them. */
export const Governance = concept('Governance', {
  opens: { open: [] },
  properties: ['storeUrl'],
  parts: {
    policies: () => Policies,
    promotions: () => Promotions,
    limits: () => Limits,
    approvals: () => Approvals,
    revocations: () => RevocationEngine,
    ledger: () => Ledger,
  },
  handles: {
    blackboard: [() => Blackboard, ['task', 'author']],
    bus: [() => MessageBus, ['task', 'member']],
    consensus: [() => Consensus, ['task', 'member']],
    budget: [() => ErrorBudget, ['owner']],
    agent: [() => Agent, ['profile', 'pipeline']],
  },
  methods: {
    begin: ['objective'],
    end: ['pipeline'],
    instruct: ['agent'],
    health: [],
    agents: [],
    agentRecord: ['agent'],
    alerts: ['last'],
    catchUp: ['within'],
    close: [],
  },
  streams: { newAlerts: [] },
  disposal: 'close',
})
