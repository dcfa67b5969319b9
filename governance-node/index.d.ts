/** Anything that JSON can say, with whole numbers below 2^53. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json }

/** What to open; what is left out is read from the environment, then from `config.toml` in the home directory. */
export interface OpenOptions {
  /** Where the embedded store, the ledger and `config.toml` are; `.governance` if nothing says otherwise. */
  home?: string
  /** `sqlite:PATH`, `redis://HOST:PORT`, another form of docs/stores.md, or `memory:`; a file in the home directory if nothing says otherwise. */
  store?: string
}

/** A place in a stream, to go on from later; its items carry it. */
export interface Cursor {
  /** The store's lineage; 0 begins with whichever there is. */
  lineage: number
  /** The last position read. */
  position: number
}

/** What a reader missed: entries that are kept no longer, or everything, because the store has lost writes. */
export type Gap = 'recovered' | { dropped: { from: number; through: number } }

/** An item of a stream of events: the event with the place behind it, or what was missed before it. */
export type Item<T> = (T & { cursor: Cursor; gap?: undefined }) | { gap: Gap; cursor: Cursor }

/** Ends when its loop does; `return()` also ends it for whoever waits for the next item. */
export interface Stream<T> extends AsyncIterableIterator<T>, AsyncDisposable {
  next(): Promise<IteratorResult<T, undefined>>
  return(): Promise<IteratorResult<T, undefined>>
  [Symbol.asyncIterator](): Stream<T>
}

/** Governed state: a store, its ledger, and everything that stands on them. */
export class Governance implements AsyncDisposable {
  private constructor()
  /** Opens what is there, and makes what is not. */
  static open(options?: OpenOptions): Promise<Governance>
  /** The store's URL, without a password. */
  readonly storeUrl: string
  /** The profiles in force. */
  readonly policies: Policies
  /** How far profiles are trusted, and what changes that. */
  readonly promotions: Promotions
  /** What agents, pipelines and everything may use. */
  readonly limits: Limits
  /** What people are asked to approve. */
  readonly approvals: Approvals
  /** Revoking agents, stopping pipelines, stopping everything. */
  readonly revocations: RevocationEngine
  /** The record. */
  readonly ledger: Ledger
  /** A task's blackboard, as one author sees and writes it. */
  blackboard(task: string, author: string): Promise<Blackboard>
  /** A task's bus, as one member hears and uses it. */
  bus(task: string, member: string): Promise<MessageBus>
  /** A task's votes, as one member sees them and takes part. */
  consensus(task: string, member: string): Promise<Consensus>
  /** An agent's budget, seen by the operator, who may grant. */
  budget(owner: string): Promise<ErrorBudget>
  /** Begins a pipeline whose agents join by themselves. Answers its id. Denied while a stop is in force. */
  begin(objective: string): Promise<string>
  /**
   * Ends a pipeline of agents that joined by themselves: it is `COMPLETED`, and nobody joins it any more. A `ConflictError` while agents of it live
   * (`agents_live`), or where a run owns it (`owned`) or it has ended otherwise (`already_ended`).
   */
  end(pipeline: string): Promise<void>
  /**
   * Joins a pipeline as a fresh instance of a profile: `alpha` becomes `alpha-7f3k2q`. `profile` is its name, and the shipped profile of its tier
   * says what it may do; or it is a profile's file, which says that, its name and its tier. `root` is the folder that its tools' paths are below.
   */
  agent(profile: string, pipeline: string, options?: { role?: AgentRole; tier?: Tier; root?: string }): Promise<Agent>
  /**
   * Tells an agent anew what to do; what is not said here is not asked any more, and the objective is its pipeline's again. Answers the packet, with
   * what its profile forbids among the constraints. A `NotFoundError` if there is no such agent, an `InvalidError` (`packet_too_large`) beyond 256 texts of
   * 4096 bytes.
   */
  instruct(agent: string, options?: Instructions): Promise<InstructionPacket>
  /** How every part is, each looked at now. */
  health(): Promise<Health>
  /** The register of agents, oldest first; only those that are as is said. */
  agents(options?: {
    tier?: Tier
    role?: AgentRole
    status?: AgentStatus
    pipeline?: string
    health?: AgentHealth
    profile?: string
  }): Promise<AgentRecord[]>
  /** One agent, with everything that is known of it. */
  agentRecord(agent: string): Promise<AgentDetail>
  /** The newest alerts, at most so many, oldest first. */
  alerts(last: number): Promise<Alert[]>
  /** Alerts as they come, beginning with all that are kept. */
  newAlerts(): Stream<NewAlerts>
  /** Waits, so many milliseconds at most, until everything that is written is in the record. False if it was not in time. */
  catchUp(within: number): Promise<boolean>
  /** Lets the agents that joined here leave and the next process keep house, and closes the ledger. What still waits fails with the code `closed`. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** How a part, or everything, is. */
export type HealthState = 'healthy' | 'degraded' | 'unknown' | 'unhealthy'

/** How everything is: as ill as the worst part. */
export interface Health {
  state: HealthState
  at: number
  components: ComponentHealth[]
}

/** How a part is. */
export interface ComponentHealth {
  component: 'store' | 'ledger' | 'disk' | 'model' | 'tools' | 'agents' | 'caretaker'
  state: HealthState
  reason: string
  /** What a person can do about it. */
  advice?: string
  /** Since when it is so, as far as is known. */
  since: number
  latency_ms: number
}

/** How an agent is. */
export type AgentHealth = 'starting' | 'healthy' | 'degraded' | 'lost' | 'ended' | 'revoked'

/** An agent as the register has it. */
export interface AgentRecord {
  id: string
  /** What it is an instance of. */
  profile: string
  /** The version of what governs it; null before it lived. */
  version: string | null
  tier: Tier
  role: AgentRole
  capabilities: Capability[]
  pipeline: string | null
  /** What runs it. */
  runtime: string
  pid: number | null
  host: string | null
  /** When it was admitted. */
  since: number | null
  phase: AgentPhase
  status: AgentStatus
  health: AgentHealth
  /** Why it is not well, for people. */
  why?: string
  /** The approval that it waits for, while it waits. */
  waits_for?: string
}

/** Everything that is known of one agent. */
export interface AgentDetail extends AgentRecord {
  /** When it was last seen to get further. */
  last_progress: number | null
  /** Its last sign of life that still counts. */
  last_beat: number | null
  spend: Usage[]
  faults: Faults
  fault_limits: { max_total_errors: number; max_same_error_repeats: number; max_procedure_violations: number }
  revocation: Revocation | null
  packet: InstructionPacket | null
  /** What came of its preflight. */
  preflight: PreflightReport | null
  outputs: AgentOutput[]
  evidence: EvidencePackage | null
}

/** What an agent put out in a phase. */
export interface AgentOutput {
  agent_id: string
  phase: AgentPhase
  /** How mature it is. */
  output_type: OutputType
  content: Json
  /** SHA-256 of the content's canonical JSON. */
  content_hash: string
  created_at: number
}

/** What an agent is told to do, and under which constraints. */
export interface InstructionPacket {
  packet_id: string
  agent_id: string
  tier: Tier
  objective: string
  constraints: string[]
  allowed_actions: string[]
  error_budget: number
  deadline: number | null
  /** What it must show. */
  evidence_required: string[]
}

/** What an agent shows for what it put out. */
export interface EvidencePackage {
  agent_id: string
  /** The hashes of the outputs that it belongs to, oldest first. */
  outputs: string[]
  evidence: Evidence[]
  created_at: number
}

/** Something that shows what an agent did. */
export interface Evidence {
  name: string
  /** What kind of thing it is, as `log`, `diff`, `test_report`. */
  kind: string
  content_hash: string
  /** Where its content is: a file below the home directory, or `inline`. */
  reference: string
  text: string | null
  bytes: number
}

/** Something to be shown: a text, or a file below the agent's root that its tools could touch, of which a copy is kept. */
export type Exhibit = { name: string; kind: string } & ({ text: string } | { file: string })

/** What a governor says beside what follows from an agent's tier. */
export interface Instructions {
  objective?: string
  /** What must hold. */
  constraints?: readonly string[]
  /** Until when, in milliseconds since 1970. After it every governed call of the agent is denied, within a second, whatever it has read. */
  deadline?: number
  /** Names of what it must show before it reports. */
  evidenceRequired?: readonly string[]
}

/** What a check answers that passes (nothing, or true), or why it fails. */
export type Found = void | null | boolean | string

/**
 * A check of a preflight: a function, which fails where it answers a text or throws; or what to look at: a folder that is there and can be written to, a
 * file that names targets, programs that are there, a command that ends with exit code 0.
 */
export type Check =
  | (() => Found | Promise<Found>)
  | { sandbox: string }
  | { inventory: { file: string; targets?: readonly string[] } }
  | { dependencies: readonly string[] }
  | { command: readonly string[] }

/** What came of a preflight. */
export interface PreflightReport {
  agent_id: string
  /** Whether every check passed, and none was missing that the profile asks for. */
  passed: boolean
  /** Each check, the usual ones first; `took` is in milliseconds. */
  checks: { name: string; passed: boolean; reason?: string; took: number }[]
  at: number
}

/** How far profiles are trusted. A profile that nobody registered joins as its operator says; a registered one at no more than it stands at. */
export class Promotions {
  private constructor()
  /** Every profile that something is known of. Counts the agents that have ended first. */
  standings(): Promise<ProfileStanding[]>
  /** How a profile stands. Counts the agents of it that have ended first. */
  standing(profile: string): Promise<ProfileStanding>
  /** What a profile lacks to rise, requirement by requirement. */
  eligibility(profile: string): Promise<Eligibility>
  /**
   * Gives a profile that has no standing yet the one that `by` answers for, with what it asks for before it rises. A `ConflictError` (`registered`) if it
   * has one, an `InvalidError` (`bad_profile`) for terms that are laxer than the rules of its tier.
   */
  register(profile: string, tier: Tier, by: string, reason: string, options?: { terms?: PromotionTerms }): Promise<ProfileStanding>
  /**
   * Lets a profile rise by one tier. Where the rules ask for people they are asked: the status is `pending_review`, `review.approval` is the request, and it
   * rises once enough of them have approved. Asking again finds what was asked. A `DeniedError` (`not_eligible`) if it lacks something, or
   * (`approval_denied`) if it was denied and has shown nothing more; an `InvalidError` (`one_tier_at_a_time`) if `to` is not the next tier.
   */
  promote(profile: string, by: string, reason: string, options?: { to?: Tier }): Promise<ProfileStanding>
  /**
   * Lets a profile fall by one tier, or to `to`. Everything is to be shown anew; its agents that live keep the tier that they were admitted at. An
   * `InvalidError` (`not_below`) if there is no such tier below.
   */
  demote(profile: string, by: string, reason: string, options?: { to?: Tier }): Promise<ProfileStanding>
}

/** What a profile asks for before it rises to the next tier. It may only be stricter than the tier's rules. */
export interface PromotionTerms {
  target: Tier
  requirements?: {
    runs?: number
    consecutive?: number
    actions?: string[]
    modifications?: number
    clean_days?: number
    review?: boolean
    administrator?: boolean
  }
}

/** How far a profile is trusted, and how it came to that. */
export interface ProfileStanding {
  profile: string
  /** Null where nobody registered it, and it joins as its operator says. */
  tier: Tier | null
  /** Where its promotion stands. */
  status: PromotionStatus
  /** What its agents did since it last rose or fell, counted when each had ended. */
  history: {
    compliant: number
    /** In a row, up to the last. */
    consecutive: number
    not_compliant: number
    /** How often each action was done. */
    actions: Record<string, number>
    /** Actions that changed something, and succeeded. */
    modifications: number
    /** When it broke a rule, oldest first. */
    violations: number[]
  }
  /** What it asks for beyond the rules of its tier. */
  terms?: PromotionTerms
  /** The review that it waits for. */
  review?: Record<string, Json>
  /** How it came to stand there, oldest first. */
  changes: { from: Tier | null; to: Tier | null; status: PromotionStatus; by: string; reason: string; at: number }[]
}

/** Whether a profile may rise. */
export interface Eligibility {
  /** Eligible or not; what people still have to say is not part of it. */
  status: PromotionStatus
  /** To which tier; null from the highest. */
  target: Tier | null
  /** Each requirement: at least `need` of it; of `violations`, at most. */
  requirements: { name: string; have: number; need: number; met: boolean }[]
  /** Whether a person must review. */
  review: boolean
  /** Whether an administrator must approve. */
  administrator: boolean
}

/** The profiles in force. A change is in force in every process within seconds; what is wrong changes nothing. */
export class Policies {
  private constructor()
  /** What is in force, by name. */
  list(): Promise<PolicyVersion[]>
  /** A profile's version in force, or another that is kept; null where there is none. */
  version(name: string, options?: { version?: number }): Promise<PolicyVersion | null>
  /** A profile's versions, oldest first: the last 100 are kept here, all of them in the ledger. */
  history(name: string): Promise<PolicyVersion[]>
  /**
   * Checks a profile, YAML or JSON, and puts it in force. `by` says who does, `over` which version must be in force now, 0 for none. What is in
   * force already stays so. A `ConflictError` (`policy_conflict`) if somebody else was first.
   */
  apply(text: string, by: string, options?: { note?: string; over?: number }): Promise<Applied>
  /** Puts an earlier version in force again, as a new one: the one before the last, or `to`. */
  rollback(name: string, by: string, options?: { to?: number; note?: string; over?: number }): Promise<Applied>
  /** Takes a profile out of force: its agents are denied everything; one that stood in for a shipped profile gives way to it. */
  withdraw(name: string, by: string, options?: { note?: string; over?: number }): Promise<Applied>
}

/** A version of a profile: what was in force from then on. */
export interface PolicyVersion {
  name: string
  version: number
  /** For which tier it is made; not there, as hash and text, where it was withdrawn. */
  tier?: Tier
  /** The hash that decisions name. */
  hash?: string
  text?: { profile: string; conditions?: string }
  /** Who says to have done it. */
  by: string
  at: number
  note?: string
  /** The version that was put in force again by this one. */
  of?: number
}

/** What came of a change. */
export interface Applied {
  version: PolicyVersion
  /** Whether that is new. */
  changed: boolean
}

/** What a person should hear of. */
export interface Alert {
  /** What of, as `violation_detected`, `agent_revoked`, `stop_all`. */
  type: string
  at: number
  data: Json
}

/** Alerts that came since the last look, oldest first. */
export interface NewAlerts {
  /** Whether some were dropped before they were read. */
  missed: boolean
  alerts: Alert[]
}

/** What people are asked to approve. Agents ask, and never approve: in the process of one, `decide` is denied. */
export class Approvals {
  private constructor()
  /** The newest requests that are still known, at most so many, oldest first. */
  list(last: number): Promise<Approval[]>
  /** A request, and where it stands. */
  approval(id: string): Promise<Approval>
  /** Waits, so many milliseconds at most, until it is approved, denied, expired, void or used. Answers where it stands then. */
  wait(id: string, within: number): Promise<Approval>
  /**
   * Signs a verdict with an approver's key and hands it in. `hash` is that of the request as it was shown: if it is another by now, a
   * `ConflictError`, and nothing is signed.
   */
  decide(
    id: string,
    hash: string,
    verdict: 'approve' | 'deny',
    keyFile: string,
    options?: { passphrase?: string; note?: string },
  ): Promise<Approval>
  /** Takes what an approver signed elsewhere. Verified here, and again by whoever uses it. */
  submit(signed: Json): Promise<Approval>
}

/** A request for approval, and where it stands. */
export interface Approval {
  request: ApprovalRequest
  /** Its hash, which is signed. */
  hash: string
  /** The canonical arguments; null once they are gone. */
  arguments: string | null
  state: 'pending' | 'approved' | 'denied' | 'superseded' | 'expired' | 'void' | 'used'
  approved: ApprovalGiven[]
  /** Who denied it first. */
  denied: ApprovalGiven | null
  /** The intent that it was used for. */
  used: { token: string; at: number } | null
  /** What was found in the store and does not count, and why. */
  uncounted: { approver: string; why: string }[]
}

/** What was asked. Everything in it is covered by the request's hash. */
export interface ApprovalRequest {
  id: string
  kind: 'action' | 'plan' | 'promotion'
  agent: string
  pipeline: string | null
  action: string
  target: string | null
  path: string | null
  /** SHA-256 of the canonical arguments. */
  arguments: string
  /** What whoever wrapped the tool says of its risks; not there where it says none. */
  risks?: string[]
  /** Where in its life the agent was when it asked, if it said so. */
  phase?: AgentPhase
  /** Why a person is asked. */
  reason: string
  /** The hash of the policy that wants it. */
  policy: string | null
  /** How many people must approve. */
  quorum: number
  /** Whether one of them must be an administrator. */
  administrator: boolean
  asked_at: number
  /** Until when it may be approved and used. */
  deadline: number
}

/** What somebody said of a request. */
export interface ApprovalGiven {
  approver: string
  administrator: boolean
  at: number
  note: string | null
}

/** What the agents of a task know together. Nobody overwrites what they have not read. */
export class Blackboard {
  private constructor()
  /** Writes a new entry. Answers its version, 1. A `ConflictError` if the name is taken. */
  post(section: Section, name: string, content: Json): Promise<number>
  /** Replaces a version of an entry; 0 for an entry that is not there yet. */
  putIf(section: Section, name: string, content: Json, version: number): Promise<Written>
  /** Removes a version of an entry. Its history stays, its versions go on, and so its name stays taken. */
  removeIf(section: Section, name: string, version: number): Promise<Written>
  /** One entry, also when it was removed; null if it never was. */
  entry(section: Section, name: string): Promise<BoardEntry | null>
  /** The entries of a section that were not removed, by name. */
  entries(section: Section): Promise<BoardEntry[]>
  /** What an entry said, oldest first, as far as the events reach. */
  history(section: Section, name: string): Promise<BoardEntry[]>
  /** Every accepted write behind a cursor, in order, and then as they come. */
  events(options?: { after?: Cursor }): Stream<Item<BoardEvent>>
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

/** One accepted write. */
export interface BoardEvent {
  /** 1, 2, 3, … within the task. */
  position: number
  /** When, on the store's clock. */
  at: number
  entry: BoardEntry
  /** The token of the commit. */
  token: string | null
}

/**
 * What agents say to each other. Messages are durable, at least once, in order per sender and recipient: each stays in the recipient's inbox
 * until it is acknowledged, comes again when it is not in time, and ends in the dead letters when it never is. Signals may be lost.
 */
export class MessageBus {
  private constructor()
  /** Becomes a member with an inbox. Joining again changes its options. */
  join(options?: InboxOptions): Promise<void>
  /** Leaves: what still waits in the inbox goes to the dead letters. Answers how much that was. */
  leave(): Promise<number>
  /** Who is on the bus, and with which inbox. */
  members(): Promise<BusMember[]>
  /** Sends a message to one member. */
  send(to: string, body: Json): Promise<Sent>
  /** Sends a message to every other member: to all of them or, if an inbox is full, to none. */
  broadcast(body: Json): Promise<Sent>
  /** Answers a message. */
  reply(delivery: Delivery, body: Json): Promise<Sent>
  /** Sends a message and waits for its answer, which also comes to the inbox. A `DeadlineError` after so many milliseconds. */
  request(to: string, body: Json, within: number): Promise<BusMessage>
  /** The next message, if one waits and is not out for processing already. */
  take(): Promise<Delivery | null>
  /** Waits for the next message; null if none came within so many milliseconds. */
  receive(options?: { within?: number }): Promise<Delivery | null>
  /** Says that a message was processed. A `ConflictError` if it was delivered again meanwhile. */
  acknowledge(delivery: Delivery): Promise<void>
  /** Says something to whoever listens now. May be lost. */
  signal(body: Json): Promise<void>
  /** Messages that nobody could process, oldest first. */
  deadLetters(): Promise<DeadLetter[]>
  /** Messages as they are delivered; the next one comes when this one is acknowledged. */
  messages(): Stream<Delivery>
  /** Signals, and every durable message as it is sent. Some may be lost. */
  signals(): Stream<BusMessage>
  /** The record of all messages behind a cursor, and then as they are sent. */
  record(options?: { after?: Cursor }): Stream<Item<BusEvent>>
}

/** How an inbox behaves. */
export interface InboxOptions {
  /** How many messages may wait; 1,000 if not given. */
  capacity?: number
  /** What happens when one more comes: the sender is told, or the oldest goes to the dead letters. */
  overflow?: 'refuse' | 'drop_oldest'
  /** After how many milliseconds without an acknowledgement a message comes again; 30,000 if not given. */
  redeliverAfter?: number
  /** How often it is delivered before it is given up; 5 if not given. */
  maxDeliveries?: number
}

/** A member of a bus, with its inbox. */
export interface BusMember {
  id: string
  capacity: number
  overflow: 'refuse' | 'drop_oldest'
  redeliver_after: number
  max_deliveries: number
}

/** The id of a message that is in every recipient's inbox, or whose inbox is full, so that nobody got it. */
export type Sent = { accepted: string; full?: undefined } | { full: { inbox: string }; accepted?: undefined }

/** One message. */
export interface BusMessage {
  id: string
  from: string
  /** Null for everybody on the bus. */
  to: string | null
  /** When, on the sender's clock. */
  at: number
  body: Json
  /** The message that this one answers. */
  reply_to?: string
}

/** A message out for processing. Acknowledge it, or it comes again. Give it back as it came. */
export interface Delivery {
  message: BusMessage
  /** 1 the first time. */
  attempt: number
  inbox: Json
  position: number
  claim: number
}

/** One message of the record. */
export interface BusEvent {
  position: number
  message: BusMessage
}

/** A message that nobody could process, and why. */
export interface DeadLetter {
  position: number
  message: BusMessage
  inbox: string
  reason: string
}

/** What is spent; cost is in millionths of a dollar. */
export type Unit = 'calls' | 'tokens' | 'cost' | 'concurrency'

/** What an agent may still spend, and how many faults it may still make. */
export class ErrorBudget {
  private constructor()
  /** Says how much there is in all, what is spent already included; opens a budget that an overrun closed. Not the agent's own to give. */
  grant(unit: Unit, limit: number): Promise<void>
  /** What is used of a unit; null if nothing was ever granted. */
  usage(unit: Unit): Promise<Usage | null>
  /** What is left of a unit; 0 if nothing was ever granted. */
  remaining(unit: Unit): Promise<number>
  /** Spends at once. */
  spend(unit: Unit, amount: number): Promise<Spend>
  /** Sets an amount aside for so many milliseconds. If it lapses all of it counts as spent. */
  reserve(unit: Unit, amount: number, ttl: number): Promise<Reservation | Exhausted>
  /** Says what was really used of a reservation; the rest comes back. */
  settle(reservation: Reservation, used: number): Promise<Settled>
  /** A local share, reserved in pieces that are held for so many milliseconds. */
  allowance(unit: Unit, piece: number, ttl: number): Promise<Allowance>
  /** Counts an error. The one that exceeds a limit revokes the agent in the same step. */
  error(kind: string, message: string): Promise<FaultCount>
  /** Counts a procedure violation. The second one revokes the agent. */
  procedureViolation(): Promise<FaultCount>
  /** The faults so far. */
  faults(): Promise<Faults>
}

/** Not enough is left: nothing was taken. Closed: an overrun closed the budget. */
export type Exhausted = { exhausted: { remaining: number; closed: boolean }; admitted?: undefined }
/** It may be spent, and whether 80 % of the limit are used; or not. */
export type Spend = { admitted: { low: boolean }; exhausted?: undefined } | Exhausted
export type Settled = 'within' | 'lapsed' | { overrun: number }
export type FaultCount = 'counted' | 'low' | { exceeded: 'total_errors' | 'procedure_violations' | { same_error: string } }

/** What is used of one unit. */
export interface Usage {
  unit: Unit
  limit: number
  used: number
  closed: boolean
}

/** Whose limit it is; `tenant` is everything. What an agent uses counts for each that it is in, and the strictest limit wins. */
export type Scope = { agent: string } | { pipeline: string } | 'tenant'

/** What a limit is of; cost is in millionths of a dollar, time in seconds. */
export type Limited = 'calls_per_minute' | 'concurrency' | 'tokens' | 'cost' | 'errors' | 'wall_time' | 'calls'

/** How one limit stands. */
export interface ScopeUsage {
  scope: Scope
  unit: Limited
  limit: number
  used: number
  closed: boolean
}

/** What agents, pipelines and everything may use. */
export class Limits {
  private constructor()
  /**
   * Sets a limit, what is used already included; opens one that an overrun closed. Every process holds to it within five seconds. A `NotFoundError` for
   * a pipeline or an agent that is not there, a `ConflictError` (`agent_ended`) for an agent that has ended.
   */
  set(scope: Scope, unit: Limited, limit: number): Promise<void>
  /** Takes a limit away; nothing where there is none. Refused as `set` is. */
  unset(scope: Scope, unit: Limited): Promise<void>
  /** How the limits stand that were set for these scopes. What a profile says for its own agents is not among them. */
  usage(scopes: readonly Scope[]): Promise<ScopeUsage[]>
}

/** An amount that was set aside. Give it back as it came. */
export interface Reservation {
  id: string
  unit: Unit
  amount: number
  low: boolean
  exhausted?: undefined
}

/** The faults of an agent so far; errors by fingerprint: kind and normalised message. */
export interface Faults {
  total_errors: number
  by_fingerprint: Record<string, number>
  procedure_violations: number
}

/** A local share of a budget: drawn without a round trip, proven by the ledger, given back when its holder dies. */
export class Allowance implements AsyncDisposable {
  private constructor()
  /** How much of the share that is held is left, as far as this process knows; 0 while it is being replaced. */
  left(): number
  /** Draws from the share that is held, at once. False where it does not hold that much any more: ask `draw` then. */
  tryDraw(amount: number): boolean
  /** Draws an amount: once this says so it may be spent, and is, whatever happens to this process. */
  draw(amount: number): Promise<Spend>
  /** Gives the rest back. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * A governed agent that lives in this process: fenced, budgeted, recorded. Its lock and its heartbeat are kept in the background until it leaves.
 */
export class Agent implements AsyncDisposable {
  private constructor()
  /**
   * Sits down on the seat that a supervisor hands over, as one line of JSON on standard input. That input stays open for the agent's life:
   * when it closes, the supervisor is gone, and this process ends. `root` is the folder that its tools' paths are below.
   */
  static seated(options?: { root?: string }): Promise<Agent>
  readonly id: string
  readonly role: AgentRole
  readonly pipeline: string
  readonly tier: Tier
  /** What is asked, with what an earlier try failed of. */
  readonly objective: string
  /** Which try of the run this is, from 1. */
  readonly tries: number
  readonly blackboard: Blackboard
  readonly bus: MessageBus
  readonly consensus: Consensus
  readonly budget: ErrorBudget
  readonly model: Model
  /** Throws a `RevokedError` at once, without a round trip, when this process knows already that the agent is revoked. */
  check(): void
  /** Governs a tool for this agent: see `govern`. */
  govern<Given extends unknown[], Answer>(tool: (...given: Given) => Answer, options: ToolOptions): (...given: Given) => Governed<Answer>
  /** Does something as this agent: the tools that `govern` governs are called by it meanwhile. Answers what that answers. */
  act<Answer>(work: () => Answer): Answer
  /** Where it is in its life. */
  phase(): Promise<AgentPhase>
  /**
   * Enters the next phase of its life; a skipped PACKAGE is denied. Where its profile wants plans approved, EXECUTE is entered by an approval of exactly
   * what was put out last in PLAN: denied with `approval_required`, and the request in the details, until people have approved it. It waits so many
   * milliseconds for them.
   */
  enter(phase: AgentPhase, options?: { waiting?: number }): Promise<void>
  /** Puts something out, as its phase classes it. The newest 64 are kept; the ledger keeps the hash of each. */
  output(content: Json): Promise<AgentOutput>
  /** What it put out, oldest first. */
  outputs(): Promise<AgentOutput[]>
  /** What it was told to do, and under which constraints. */
  packet(): Promise<InstructionPacket | null>
  /**
   * Looks whether work can begin: the usual checks (`store`, `admission`, `lock`, `budget`, `profile`, `root`), then these, by name. Each has 10 seconds, or
   * `within` milliseconds; what is late has failed. The report is kept and recorded. Where the profile wants a preflight, nothing is changed and
   * EXECUTE is not entered until one has passed.
   */
  preflight(checks: Readonly<Record<string, Check>>, options?: { within?: number }): Promise<PreflightReport>
  /** Bundles evidence for what it put out, and enters PACKAGE from VERIFY. What was shown stays as it is. Denied before VERIFY. */
  package(exhibits: readonly Exhibit[]): Promise<EvidencePackage>
  /** Asks the model what the objective is about. */
  analyse(): Promise<Analysis>
  /** Asks the model for a solution of its own, and puts it on the blackboard, with the rivals that it cannot rule out. */
  propose(): Promise<void>
  /** Puts a solution on the blackboard, on the record. One of that name that is there already stays. */
  offer(name: string, idea: Idea): Promise<void>
  /** Every solution on the blackboard. */
  proposals(): Promise<Proposed[]>
  /** Judges every solution on the blackboard. */
  evaluate(): Promise<void>
  /** Builds one solution out of those of single agents. Answers its name; null where there are not two of them. */
  combine(): Promise<string | null>
  /** Reconciles what the others proposed, as a mediator. */
  mediate(reason: GammaReason): Promise<void>
  /** Verifies its own proposal, bundles it as its output, and reports. */
  handIn(): Promise<void>
  /** Asks people to approve a plan before it is carried out, as many and within the time that its profile says. */
  requestPlan(plan: Json): Promise<Approval>
  /**
   * Lets a profile fall by one tier, as an agent that reviews those of its tier: T3 those of T0 to T2, T4 those below it. A `DeniedError`
   * (`may_not_review`) for any other, which is revoked for it.
   */
  demote(profile: string, reason: string): Promise<ProfileStanding>
  /** Casts its ballot, on the record. */
  vote(proposal: string, choice: Choice): Promise<Cast>
  /** Judges every solution, and votes for the best; abstains when it can tell none apart. */
  voteBest(proposal: string): Promise<Cast>
  /** The next thing to do; null when it was told to leave, and has left. */
  nextStep(): Promise<Step | null>
  /** The same, one after another. */
  steps(): Stream<Step>
  /** The next thing it should know of itself; null when nothing more can come. */
  nextEvent(): Promise<AgentEvent | null>
  /** The same, one after another. */
  events(): Stream<AgentEvent>
  /** Leaves: gives back its lock, what it reserved, and its place on the bus. */
  leave(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What a tool is to its agent's guard. */
export interface ToolOptions {
  /** What it does, as `web.search`. */
  action: string
  /** What it touches, always. */
  target?: string
  /** Which argument says what it touches: its position, or its name in the first one. */
  targetFrom?: number | string
  /** Where, always, below the agent's root. The tool opens it by itself: nothing holds it to that place. */
  path?: string
  /** Which argument says where. It is replaced by the place that it really leads to, an absolute path. */
  pathFrom?: number | string
  /** How the file is opened there: the argument is then its descriptor, which is closed after the call. `x` makes a new one. */
  opened?: 'r' | 'w' | 'x'
  /**
   * How many milliseconds it may take; 60,000 unless said otherwise. A function that does not await runs as long as it takes, and what it answers is
   * withheld (a `RevokedError`) where its agent is known to be revoked by then.
   */
  timeout?: number
  /** How many milliseconds a call that needs a person's approval waits for it; without this it is refused at once. */
  waiting?: number
  /** The approval that its calls rest on. */
  approval?: string
  /**
   * What there is to fear of it, as `['irreversible']`, for the conditions of a profile. A call that has some believes nothing, and asks the store each
   * time.
   */
  risks?: readonly string[]
  /** Whether its failures are held against the agent, as errors of its budget and of its last minute; they are unless said otherwise. */
  countingFailures?: boolean
  /** The position of the argument with options, into which a `signal` is put that aborts when the call has to end. */
  signalIn?: number
}

/** A governed tool answers a promise; a generator function of either kind becomes an asynchronous one. */
export type Governed<Answer> = Answer extends AsyncGenerator<infer Piece, infer Result, infer Given> | Generator<infer Piece, infer Result, infer Given>
  ? AsyncGenerator<Piece, Result, Given>
  : Promise<Awaited<Answer>>

/**
 * Governs a tool for the agent that acts where it is called, inside `agent.act(…)`. Each call is decided by the agent's profile, recorded, checked
 * again, run, and recorded again. A refusal is a `DeniedError`, a `RevokedError` or an `ExhaustedError`, and then the tool does not run; whatever fails
 * while that is decided refuses too.
 */
export function govern<Given extends unknown[], Answer>(tool: (...given: Given) => Answer, options: ToolOptions): (...given: Given) => Governed<Answer>

/** Something that an agent should know of itself. */
export type AgentEvent = { event: 'revoked'; reason: string } | { event: 'budget_low'; unit: string; used: number; limit: number; scope?: { pipeline: string } | 'tenant' }

/** One thing to do. Report it done or failed; one that is neither comes again, to whoever acts as the agent then. */
export class Step {
  private constructor()
  readonly stage: 'ready' | 'work' | 'evaluate' | 'mediate' | 'vote' | 'message' | 'leave'
  /** Why a mediator is called, where it is to mediate. */
  readonly reason: GammaReason | null
  /** What is voted on, where it is to vote. */
  readonly proposal: string | null
  /** What was said, where another agent said something. */
  readonly message: BusMessage | null
  /** It is done. */
  done(): Promise<void>
  /** It failed, with an error of this code, which counts. The one too many revokes the agent. */
  failed(code: string, message: string): Promise<FaultCount>
  /** Does it, and reports it done, or failed with what was thrown. Answers whether it was done; a `RevokedError` is thrown on. */
  run(work: (step: Step) => unknown): Promise<boolean>
}

/** What thinks for an agent: budgeted, recorded, behind a breaker that every process shares. */
export class Model {
  private constructor()
  readonly name: string
  /** Whether the breaker is known to be open, without a round trip. */
  isOpen(): boolean
  /** Asks it. The answer is words; nothing checks what they say. */
  chat(messages: readonly ChatMessage[]): Promise<ChatReply>
}

export interface ChatMessage {
  role: 'system' | 'user' | 'assistant'
  content: string
}

/** A model's answer, and what it cost; cost is in millionths of a dollar. */
export interface ChatReply {
  content: string
  charge: { input_tokens: number; output_tokens: number; cost?: number; estimated: boolean }
}

/** What an objective is about. */
export interface Analysis {
  field: string
  terms: string[]
  priorities: string[]
  questions: string[]
}

/** A proposed solution; traits are 0 to 10. */
export interface Idea {
  title: string
  summary: string
  steps: string[]
  traits: { simplicity: number; speed: number; correctness: number; safety: number; economy: number }
}

/** A solution on the blackboard; its name is its option's name in a vote. */
export interface Proposed {
  name: string
  author: string
  idea: Idea
}

/** Ends the admission of agents, of pipelines, of everything. Once a call returns, nothing that was admitted before lands any more. */
export class RevocationEngine {
  private constructor()
  revoke(agent: string, kind: RevocationType, reason: string): Promise<Receipt>
  /** Stops a pipeline with all of its agents. */
  stopPipeline(pipeline: string, reason: string): Promise<Receipt>
  /** Revokes a pipeline: what its agents were begun under, then each agent that has not ended. */
  revokePipeline(pipeline: string, kind: RevocationType, reason: string): Promise<RevokedPipeline>
  /** Stops everything of this tenant. Nothing begins until `lift`. */
  stopAll(reason: string): Promise<Receipt>
  /**
   * What each process says by now of what a receipt of this generation tells. Who has not confirmed so many milliseconds after it was issued is
   * overdue.
   */
  receipts(generation: number, within: number): Promise<Receipts>
  /** The same, waiting until each process that was there has confirmed, is gone, or is overdue. */
  confirmed(generation: number, within: number): Promise<Receipts>
  /** Lifts a stop: what was stopped stays so, but new work may begin. */
  lift(): Promise<Receipt>
  /** The stop that is in force, if one is. */
  stopInForce(): Promise<{ reason: string; at: number } | null>
  /** Why an agent was revoked, if it was. */
  revocationOf(agent: string): Promise<Revocation | null>
  /** The newest revocations, oldest first. */
  revocations(last: number): Promise<Revocation[]>
  /** Takes note of a violation, and does what it leads to. */
  violation(agent: string, violation: ViolationType, detail: string): Promise<Response>
  /** Counts an error in the agent's last minute, and does what that leads to. */
  error(agent: string, message: string): Promise<Response>
  /** Counts an API call in the agent's last minute, and does what that leads to. */
  apiCall(agent: string): Promise<Response>
  /** Acts on an agent that has made no progress for so many milliseconds. */
  idle(agent: string, span: number): Promise<Response>
}

/** A revocation that store and ledger both hold. */
export interface Receipt {
  epoch: number
  generation: number
}

/** What all processes say of a revocation or a stop. */
export interface Receipts {
  generation: number
  issued_at: number
  /** One of each process that worked for agents then. */
  receipts: ProcessReceipt[]
}

/** What one process says of it. */
export interface ProcessReceipt {
  state: 'issued' | 'confirmed' | 'overdue' | 'gone'
  pid: number
  host: string
  /** What the process is written in, as far as it says: python, node, bun, rust. */
  runtime: string
  confirmed_at: number | null
  /** Whose work it ended; the first of them. */
  ended: string[]
  ended_count: number
  /** What runs on although it was to end. */
  unfinished: { generation: number; agent: string; what: string }[]
}

export interface RevokedPipeline {
  pipeline: Receipt
  /** The agents that were revoked now, or before. */
  revoked: string[]
  /** The agents that had ended by themselves. */
  ended: string[]
}

/** Why an agent was revoked. */
export interface Revocation {
  agent_id: string
  pipeline_id: string | null
  type: RevocationType
  reason: string
  at: number
}

/** What is done about what was seen. */
export type Response = 'nothing' | 'alert' | 'fault' | 'rate_limit' | { revoke: { kind: RevocationType; diagnose: boolean } }

/** A task's votes, as one member sees them and takes part. */
export class Consensus {
  private constructor()
  /** Puts something to the vote for so many milliseconds. The electorate, of members and weights, is frozen. */
  propose(
    id: string,
    question: Json,
    options: readonly string[],
    electorate: readonly (readonly [member: string, weight: number])[],
    within: number,
    how?: VoteOptions,
  ): Promise<Proposal>
  /** A proposal as it stands; null if there is none. */
  proposal(id: string): Promise<Proposal | null>
  /** Casts this member's ballot. One a member; the first that is not void stands. */
  vote(id: string, choice: Choice): Promise<Cast>
  /** What this member's sealed ballot shows before it is revealed. The nonce has 16 bytes or more, is random, and is kept. */
  commitment(id: string, choice: Choice, nonce: string): Promise<string>
  /** Casts a sealed ballot. */
  commitVote(id: string, commitment: string): Promise<Cast>
  /** Opens a sealed ballot, once every member has committed or the time for that is over. */
  reveal(id: string, choice: Choice, nonce: string): Promise<Cast>
  /** Brings a proposal as far as it can go now. Null while ballots can still come. */
  settle(id: string): Promise<Outcome | null>
  /** The outcome, if the proposal is closed. Changes nothing. */
  settled(id: string): Promise<Outcome | null>
  /** Waits for the outcome. */
  outcome(id: string): Promise<Outcome>
  /** Who voted what, as far as it is open. */
  votes(id: string): Promise<Record<string, Choice | null>>
  /** What happens to the task's proposals. */
  events(options?: { after?: Cursor }): Stream<Item<VoteEvent>>
}

export type DecisionRule = 'majority' | 'supermajority' | 'unanimity' | 'plurality' | 'ranked' | 'approval' | 'cumulative' | 'weighted'

export interface VoteOptions {
  /** `majority` if not given. */
  rule?: DecisionRule
  /** How many ballots are needed; more than half of the electorate if not given. */
  quorum?: number
  /** Whether ballots are sealed until all are cast. */
  sealed?: boolean
}

/** What a ballot says; which kind, the rule decides. */
export type Choice = 'abstain' | { one: string } | { approve: string[] } | { rank: string[] } | { points: Record<string, number> }
export type Cast = 'accepted' | 'already_voted' | 'early' | 'closed'

/** A proposal as it stands. */
export interface Proposal {
  question: Json
  options: string[]
  rule: DecisionRule
  quorum: number
  electorate: { id: string; weight: number; epoch: number }[]
  deadline: number
  reveal_until: number | null
  opened_by: string
  state: ProposalState
}

export type ProposalState = 'open' | 'revealing' | 'closing' | { closed: Outcome }

/** The outcome of a vote. Undecided is never a yes. */
export type Outcome =
  | { outcome: 'decided'; option: string; counts: Record<string, number> }
  | { outcome: 'undecided'; reason: Undecided; counts: Record<string, number> }

export type Undecided =
  | 'no_votes'
  | { no_quorum: { cast: number; needed: number } }
  | { tie: string[] }
  | { short_of: { best: string; got: number; of: number } }

/** Something that happened to a proposal. */
export type VoteEvent = { position: number; at: number; proposal_id: string } & (
  | { type: 'opened'; by: string }
  | { type: 'vote'; member: string }
  | { type: 'moved'; state: ProposalState }
)

/** The record: what was done, in a chain whose truncation is noticed. */
export class Ledger {
  private constructor()
  /** Its id, given once and for all when it was made. */
  readonly id: string
  /** Its directory. */
  readonly home: string
  /** A part of the record, with how much is not in it yet. */
  list(filter?: LedgerFilter): Promise<Listing>
  /** The last signed head; null if nothing is in the record. Keep one elsewhere. */
  head(): Promise<Head | null>
  /** Checks everything, also against a head that was kept elsewhere. */
  verify(options?: { head?: Head }): Promise<Report>
}

export interface LedgerFilter {
  pipeline?: string
  agent?: string
  action?: string
  /** Only those after a number of the record. */
  after?: number
  /** At most so many; 10,000 if not given. */
  limit?: number
  newestFirst?: boolean
}

export interface Listing {
  actions: AgentAction[]
  /** How many entries of any kind are written but not in the record yet. */
  unsequenced: number
}

/** An entry of the record. */
export interface AgentAction {
  /** 1, 2, 3, … without holes. */
  seq: number
  segment: string
  number: number
  at: number
  kind: 'intent' | 'outcome' | 'note'
  action: string
  agent_id: string | null
  pipeline_id: string | null
  /** The intent that it ends. */
  intent: string | null
  result: 'ok' | 'error' | 'unknown' | null
  /** Details, as JSON text. */
  payload: string
}

/** A signed head: so many entries, and the root of the tree over them. */
export interface Head {
  ledger: string
  size: number
  root: string
  at: number
  key: string
  signature: string
}

/** What a check of the record found. */
export interface Report {
  /** Whether everything is as it was written. */
  intact: boolean
  ledger: string
  entries: number
  heads: number
  root: string
  /** The first thing that is wrong with the record. */
  first: ({ seq: number; problem: string } & Record<string, Json>) | null
  segments: Json[]
  unreadable_heads: number[]
  unsequenced: number
  vanished: string[]
  damaged: string[]
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
