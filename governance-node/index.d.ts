/** Anything that JSON can say. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** What to open; what is left out is read from the environment, then from `config.toml` in the home directory. */
export interface OpenOptions {
  /** Where the embedded store, the ledger and `config.toml` are; `.governance` if nothing says otherwise. */
  home?: string
  /** `sqlite:PATH`, `redis://HOST:PORT`, another form of docs/stores.md, or `memory:`; a file in the home directory if nothing says otherwise. */
  store?: string
}

/** Governed state: a store, its ledger, and everything that stands on them. */
export class Governance implements AsyncDisposable {
  private constructor()
  /** Opens what is there, and makes what is not. */
  static open(options?: OpenOptions): Promise<Governance>
  /** The store's URL, without a password. */
  readonly storeUrl: string
  /** A task's blackboard, as one author sees and writes it. */
  blackboard(task: string, author: string): Promise<Blackboard>
  /** Lets the next process keep house, and closes the ledger. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What the agents of a task know together. */
export class Blackboard {
  private constructor()
  /** Writes a new entry. Answers its version, 1. A `ConflictError` if the name is taken. */
  post(section: Section, name: string, content: Json): Promise<number>
  /** Replaces a version of an entry; 0 for an entry that is not there yet. */
  putIf(section: Section, name: string, content: Json, version: number): Promise<Written>
  /** One entry, also when it was removed; null if it never was. */
  entry(section: Section, name: string): Promise<BoardEntry | null>
  /** The entries of a section that were not removed, by name. */
  entries(section: Section): Promise<BoardEntry[]>
}

/** The new version, or the version that is there because somebody was first. */
export type Written = { accepted: number; conflict?: undefined } | { conflict: number; accepted?: undefined }

/** One entry of a section. */
export interface BoardEntry {
  section: Section
  name: string
  /** How often it was written. */
  version: number
  /** Who wrote it last. */
  author: string
  /** When, on the author's clock: milliseconds since 1970. */
  at: number
  /** What it says; null once removed. */
  content: Json
  removed: boolean
}

/** Something failed; the subclass says what the caller can do. */
export class GovernanceError extends Error {
  constructor(message: string, machine?: { kind?: string; code?: string; details?: Record<string, Json>; cause?: unknown })
  readonly kind: string
  /** A stable name for this error, for programs. */
  readonly code: string
  /** Numbers and names behind the sentence. */
  readonly details: Record<string, Json>
}
/** The input is wrong: mend it. */
export class InvalidError extends GovernanceError {}
/** The thing named does not exist. */
export class NotFoundError extends GovernanceError {}
/** Somebody else was first: read again and decide again. */
export class ConflictError extends GovernanceError {}
/** A rule forbids it. */
export class DeniedError extends GovernanceError {}
/** The actor's admission has ended; it must stop. */
export class RevokedError extends GovernanceError {}
/** A budget, a quota or a mailbox is full: wait or ask for more. */
export class ExhaustedError extends GovernanceError {}
/** A part cannot be reached now: try again later. */
export class UnavailableError extends GovernanceError {}
/** Time ran out; the outcome may be unknown. */
export class DeadlineError extends GovernanceError {}
/** Stored data is not what was written: a person must look. */
export class CorruptError extends GovernanceError {}
/** A defect of this library. */
export class InternalError extends GovernanceError {}

type Of<T> = T[keyof T]
export declare const AgentPhase: {
  readonly BOOTSTRAP: 'BOOTSTRAP'
  readonly PREFLIGHT: 'PREFLIGHT'
  readonly PLAN: 'PLAN'
  readonly EXECUTE: 'EXECUTE'
  readonly VERIFY: 'VERIFY'
  readonly PACKAGE: 'PACKAGE'
  readonly REPORT: 'REPORT'
  readonly EXIT: 'EXIT'
  readonly REVOKED: 'REVOKED'
}
export type AgentPhase = Of<typeof AgentPhase>
export declare const OutputType: { readonly ALPHA: 'Alpha'; readonly BETA: 'Beta'; readonly GAMMA: 'Gamma' }
export type OutputType = Of<typeof OutputType>
export declare const AgentStatus: {
  readonly PENDING: 'pending'
  readonly RUNNING: 'running'
  readonly WAITING: 'waiting'
  readonly COMPLETED: 'completed'
  readonly FAILED: 'failed'
  readonly TIMED_OUT: 'timed_out'
  readonly REVOKED: 'revoked'
}
export type AgentStatus = Of<typeof AgentStatus>
export declare const AgentRole: { readonly ALPHA: 'alpha'; readonly BETA: 'beta'; readonly GAMMA: 'gamma' }
export type AgentRole = Of<typeof AgentRole>
export declare const PipelineStatus: {
  readonly SPAWN: 'SPAWN'
  readonly RUNNING: 'RUNNING'
  readonly REPORT: 'REPORT'
  readonly ORCHESTRATING: 'ORCHESTRATING'
  readonly COMPLETED: 'COMPLETED'
  readonly FAILED: 'FAILED'
  readonly TIMEOUT: 'TIMEOUT'
  readonly CONSENSUS_FAILED: 'CONSENSUS_FAILED'
  readonly ORCHESTRATION_FAILED: 'ORCHESTRATION_FAILED'
  readonly ORCHESTRATION_ERROR: 'ORCHESTRATION_ERROR'
  readonly STOPPED: 'STOPPED'
  readonly ABORTED: 'ABORTED'
  readonly REBOOTING: 'REBOOTING'
}
export type PipelineStatus = Of<typeof PipelineStatus>
export declare const StageType: {
  readonly AGENT: 'agent'
  readonly GATE: 'gate'
  readonly PARALLEL: 'parallel'
  readonly CONDITION: 'condition'
}
export type StageType = Of<typeof StageType>
export declare const StageStatus: {
  readonly PENDING: 'pending'
  readonly RUNNING: 'running'
  readonly WAITING_APPROVAL: 'waiting_approval'
  readonly COMPLETED: 'completed'
  readonly FAILED: 'failed'
  readonly SKIPPED: 'skipped'
  readonly TIMED_OUT: 'timed_out'
}
export type StageStatus = Of<typeof StageStatus>
export declare const Tier: { readonly T0: 'T0'; readonly T1: 'T1'; readonly T2: 'T2'; readonly T3: 'T3'; readonly T4: 'T4' }
export type Tier = Of<typeof Tier>
export declare const Capability: {
  readonly READ_INVENTORY: 'read_inventory'
  readonly READ_DOCUMENTATION: 'read_documentation'
  readonly GENERATE_PLANS: 'generate_plans'
  readonly EXECUTE_COMMANDS: 'execute_commands'
  readonly MODIFY_FILES: 'modify_files'
  readonly ACCESS_SECRETS: 'access_secrets'
  readonly SSH_ACCESS: 'ssh_access'
  readonly API_ACCESS: 'api_access'
}
export type Capability = Of<typeof Capability>
export declare const PromotionStatus: {
  readonly ELIGIBLE: 'eligible'
  readonly NOT_ELIGIBLE: 'not_eligible'
  readonly PENDING_REVIEW: 'pending_review'
  readonly APPROVED: 'approved'
  readonly REJECTED: 'rejected'
}
export type PromotionStatus = Of<typeof PromotionStatus>
export declare const Severity: { readonly CRITICAL: 'CRITICAL'; readonly HIGH: 'HIGH'; readonly MEDIUM: 'MEDIUM'; readonly LOW: 'LOW' }
export type Severity = Of<typeof Severity>
export declare const ViolationType: {
  readonly UNAUTHORIZED_SECRET_ACCESS: 'unauthorized_secret_access'
  readonly FORBIDDEN_TARGET_ACCESS: 'forbidden_target_access'
  readonly GOVERNANCE_TAMPERING: 'governance_tampering'
  readonly PRIVILEGE_ESCALATION: 'privilege_escalation'
  readonly FORBIDDEN_ACTION: 'forbidden_action'
  readonly PATH_OUT_OF_SCOPE: 'path_out_of_scope'
  readonly PREFLIGHT_BYPASS: 'preflight_bypass'
  readonly APPROVAL_BYPASS: 'approval_bypass'
  readonly LOCK_LOST: 'lock_lost'
  readonly ERROR_BUDGET_EXCEEDED: 'error_budget_exceeded'
  readonly PROCEDURE_VIOLATION: 'procedure_violation'
  readonly RESOURCE_ABUSE: 'resource_abuse'
  readonly HEARTBEAT_LOST: 'heartbeat_lost'
  readonly EVIDENCE_MISSING: 'evidence_missing'
}
export type ViolationType = Of<typeof ViolationType>
export declare const RevocationType: {
  readonly ERROR_BUDGET: 'error_budget'
  readonly PROCEDURE: 'procedure'
  readonly LOCK: 'lock'
  readonly HEARTBEAT: 'heartbeat'
  readonly POLICY: 'policy'
  readonly MANUAL: 'manual'
}
export type RevocationType = Of<typeof RevocationType>
export declare const IntegrationEventType: {
  readonly PLAN_CREATED: 'plan_created'
  readonly EXECUTION_STARTED: 'execution_started'
  readonly EXECUTION_COMPLETE: 'execution_complete'
  readonly VIOLATION_DETECTED: 'violation_detected'
  readonly PROMOTION_REQUESTED: 'promotion_requested'
  readonly PROMOTION_APPROVED: 'promotion_approved'
  readonly AGENT_REVOKED: 'agent_revoked'
  readonly APPROVAL_REQUIRED: 'approval_required'
  readonly HEARTBEAT: 'heartbeat'
}
export type IntegrationEventType = Of<typeof IntegrationEventType>
export declare const ChaosCondition: {
  readonly LOCK_LOSS: 'lock_loss'
  readonly ERROR_SPIKE: 'error_spike'
  readonly HEARTBEAT_LOSS: 'heartbeat_loss'
  readonly LATENCY: 'latency'
  readonly STORE_UNAVAILABLE: 'store_unavailable'
  readonly STATE_CORRUPTION: 'state_corruption'
  readonly TOKEN_REVOKED: 'token_revoked'
  readonly PROCEDURE_BREACH: 'procedure_breach'
  readonly PROCESS_KILL: 'process_kill'
}
export type ChaosCondition = Of<typeof ChaosCondition>
export declare const FallbackAction: {
  readonly RERUN_SAME: 'rerun_same'
  readonly RERUN_GAMMA: 'rerun_gamma'
  readonly ESCALATE_TIER: 'escalate_tier'
  readonly ACCEPT_PARTIAL: 'accept_partial'
  readonly DOWNLOAD_LOG: 'download_log'
}
export type FallbackAction = Of<typeof FallbackAction>
export declare const GammaReason: { readonly STUCK: 'STUCK'; readonly CONFLICT: 'CONFLICT'; readonly COMPLEXITY: 'COMPLEXITY' }
export type GammaReason = Of<typeof GammaReason>
export declare const Section: {
  readonly PROBLEM: 'problem'
  readonly SOLUTIONS: 'solutions'
  readonly PROGRESS: 'progress'
  readonly CONSENSUS: 'consensus'
}
export type Section = Of<typeof Section>
export declare const ViolationSeverity: typeof Severity
export type ViolationSeverity = Severity

/** Every phase, REVOKED too. */
export declare const AGENT_PHASE_NAMES: readonly AgentPhase[]
/** The phases in their order, without REVOKED. */
export declare const AGENT_PHASES_ORDERED: readonly AgentPhase[]
export declare const PHASE_OUTPUT_TYPES: Readonly<Record<AgentPhase, OutputType | null>>
export declare const VIOLATION_SEVERITY_MAP: Readonly<Record<ViolationType, Severity>>
export declare const INTEGRATION_EVENT_PHASE_MAP: Readonly<Record<IntegrationEventType, AgentPhase | null>>
export declare const DEFAULT_REDIS_HOST: string
export declare const DEFAULT_REDIS_PORT: number
export declare const DEFAULT_LEDGER_PATH: string

/** The class of output that a phase yields; null for REVOKED. */
export declare function getOutputTypeForPhase(phase: AgentPhase): OutputType | null
/** Whether nothing follows this phase. */
export declare function isTerminalPhase(phase: AgentPhase): boolean
/** The phase after this one; null after EXIT and REVOKED. */
export declare function nextPhase(phase: AgentPhase): AgentPhase | null

/** The spelling of the default tenant's keys. */
export declare const RedisKeys: {
  agentState(agentId: string): string
  agentLock(agentId: string): string
  projectAgents(projectId: string): string
}
