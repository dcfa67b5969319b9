// Governance for AI agents, in this process. The rules are the core's; here is only the shape that JavaScript expects.

export { Agent, govern } from './agent.js'
export { Allowance } from './allowance.js'
export { Approvals } from './approval.js'
export { Blackboard } from './blackboard.js'
export { ErrorBudget } from './budget.js'
export { MessageBus } from './bus.js'
export { Consensus } from './consensus.js'
export {
  ConflictError,
  CorruptError,
  DeadlineError,
  DeniedError,
  ExhaustedError,
  GovernanceError,
  InternalError,
  InvalidError,
  NotFoundError,
  RevokedError,
  UnavailableError,
} from './errors.js'
export { Governance } from './governance.js'
export { Ledger } from './ledger.js'
export { Limits } from './limits.js'
export { Model } from './model.js'
export { Policies } from './policies.js'
export { Promotions } from './promotions.js'
export { RevocationEngine } from './revocation.js'
export { Step } from './step.js'
export * from './vocabulary.js'
