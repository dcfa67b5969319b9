"""What calls answer: plain values with names, frozen and comparable.

Times are `datetime` in UTC, spans are seconds. Of a `Variant` exactly one field says something, and it is true when what was asked for happened.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Literal, Optional, TypedDict, Union

from ._governance import AgentPhase, AgentRole, AgentStatus, Capability, OutputType, PromotionStatus, RevocationType, Section, Tier

__all__ = [
    "Admitted",
    "AgentAction",
    "AgentDetail",
    "AgentEvent",
    "AgentOutput",
    "AgentRecord",
    "Alert",
    "Analysis",
    "Applied",
    "Approval",
    "ApprovalGiven",
    "ApprovalRequest",
    "ApprovalUse",
    "Approve",
    "BoardEntry",
    "BoardEvent",
    "BusEvent",
    "BusMember",
    "BusMessage",
    "Cast",
    "Charge",
    "ChatMessage",
    "ChatReply",
    "CheckResult",
    "Choice",
    "ComponentHealth",
    "Cursor",
    "DeadLetter",
    "Dropped",
    "Eligibility",
    "Evidence",
    "EvidencePackage",
    "Exceeded",
    "Exhausted",
    "FaultCount",
    "Faults",
    "Finding",
    "Full",
    "Gap",
    "Health",
    "Idea",
    "InstructionPacket",
    "Listing",
    "NewAlerts",
    "NoQuorum",
    "One",
    "Outcome",
    "Points",
    "PolicyVersion",
    "PreflightReport",
    "Problem",
    "ProcessReceipt",
    "ProfileHistory",
    "ProfileStanding",
    "PromotionRequirements",
    "PromotionTerms",
    "Proposal",
    "ProposalState",
    "Proposed",
    "Rank",
    "Receipt",
    "Receipts",
    "Report",
    "Requirement",
    "Response",
    "Revocation",
    "Revoke",
    "RevokedPipeline",
    "ScopeUsage",
    "Sent",
    "Settled",
    "ShortOf",
    "Spend",
    "StandingChange",
    "Stop",
    "Traits",
    "Uncounted",
    "Undecided",
    "Unfinished",
    "Usage",
    "Variant",
    "VoteEvent",
    "Voter",
    "Written",
]


class Variant:
    """One of several things; the field that says something tells which."""


@dataclass(frozen=True)
class Cursor:
    """A place in what is told one by one. Give it as `after` to go on behind it."""

    lineage: int = 0
    """The store's lineage; 0 begins with whichever there is."""
    position: int = 0
    """The last position read."""


class Dropped(TypedDict):
    """What was told longer ago than is kept."""

    dropped: dict[str, int]
    """`from` the first position missed `through` the last one."""


@dataclass(frozen=True)
class Gap:
    """What a reader missed. What follows is read behind it."""

    cursor: Cursor
    """Where to go on."""
    gap: Union[Literal["recovered"], Dropped]
    """Recovered: the store has lost writes, and everything is told from its beginning."""


# Blackboard


@dataclass(frozen=True)
class Written(Variant):
    """What became of a compare-and-set: true if it was written."""

    accepted: Optional[int] = None
    """The new version, if it was written."""
    conflict: Optional[int] = None
    """The version that is there now, if somebody was first."""

    def __bool__(self) -> bool:
        return self.accepted is not None


@dataclass(frozen=True)
class BoardEntry:
    """One entry of a section of a blackboard."""

    section: Section
    """Where."""
    name: str
    """Its name."""
    version: int
    """How often it was written."""
    author: str
    """Who wrote it last."""
    at: datetime
    """When, on the author's clock."""
    content: Any
    """What it says; none once removed."""
    removed: bool
    """Whether it was removed."""


@dataclass(frozen=True)
class BoardEvent:
    """One accepted write."""

    cursor: Cursor
    """Where to go on behind it."""
    position: int
    """1, 2, 3, … within the task."""
    at: datetime
    """When, on the store's clock."""
    entry: BoardEntry
    """The entry as it was written."""
    token: Optional[str]
    """The token of the commit."""


# Bus


@dataclass(frozen=True)
class BusMessage:
    """One message."""

    id: str
    """Its id."""
    sender: str
    """From whom; `from` in JSON."""
    to: Optional[str]
    """To whom; none for everybody on the bus."""
    at: datetime
    """When, on the sender's clock."""
    body: Any
    """What."""
    reply_to: Optional[str]
    """The message that this one answers."""


@dataclass(frozen=True)
class BusEvent:
    """A message in the record of a bus."""

    cursor: Cursor
    """Where to go on behind it."""
    position: int
    """1, 2, 3, … within the task."""
    message: BusMessage
    """The message."""


@dataclass(frozen=True)
class DeadLetter:
    """A message that nobody could process."""

    position: int
    """1, 2, 3, … within the task."""
    message: BusMessage
    """The message."""
    inbox: str
    """In whose inbox it lay."""
    reason: str
    """Why it was given up."""


@dataclass(frozen=True)
class BusMember:
    """Who is on a bus, and how its inbox behaves."""

    id: str
    """Who."""
    capacity: int
    """How many messages may wait."""
    overflow: Literal["refuse", "drop_oldest"]
    """What happens when one more comes."""
    redeliver_after: float
    """How many seconds a message may be out for processing before it is delivered again."""
    max_deliveries: int
    """How often it is delivered before it is given up."""


@dataclass(frozen=True)
class Full:
    """An inbox that takes nothing more."""

    inbox: str
    """Whose."""


@dataclass(frozen=True)
class Sent(Variant):
    """What became of a message: true if it was sent."""

    accepted: Optional[str] = None
    """The message's id, if it is in every recipient's inbox."""
    full: Optional[Full] = None
    """Which inbox is full, if nobody got it."""

    def __bool__(self) -> bool:
        return self.accepted is not None


# Budget


@dataclass(frozen=True)
class Usage:
    """What is used of one unit."""

    unit: str
    """Of what: calls, tokens, cost (millionths of a dollar) or concurrency."""
    limit: int
    """How much there is in all."""
    used: int
    """How much is spent or reserved."""
    closed: bool
    """Whether an overrun closed it."""


@dataclass(frozen=True)
class ScopeUsage:
    """How one limit stands."""

    scope: Any
    """Whose it is: `{"agent": id}`, `{"pipeline": id}` or `"tenant"`."""
    unit: str
    """Of what."""
    limit: int
    """How much there is in all."""
    used: int
    """How much of it is used."""
    closed: bool
    """Whether an overrun closed it."""


@dataclass(frozen=True)
class Admitted:
    """An amount that may be spent."""

    low: bool
    """Whether 80 % of the limit are used or reserved."""


@dataclass(frozen=True)
class Exhausted:
    """An amount that may not be spent."""

    remaining: int
    """What is left, reservations of others taken off."""
    closed: bool
    """Whether the budget was closed by an overrun and takes nothing more."""


@dataclass(frozen=True)
class Spend(Variant):
    """What became of an attempt to spend: true if it may be spent."""

    admitted: Optional[Admitted] = None
    """It may be spent."""
    exhausted: Optional[Exhausted] = None
    """There is not enough left; nothing was taken."""

    def __bool__(self) -> bool:
        return self.admitted is not None


@dataclass(frozen=True)
class Settled(Variant):
    """How a reservation was settled: true if it was there to be settled."""

    within: bool = False
    """Within what was reserved."""
    overrun: Optional[int] = None
    """So much more was used than was reserved: recorded, and the budget is closed."""
    lapsed: bool = False
    """It had lapsed and was accounted for then."""

    def __bool__(self) -> bool:
        return not self.lapsed


@dataclass(frozen=True)
class Faults:
    """The faults of an agent so far."""

    total_errors: int
    """Errors in all."""
    by_fingerprint: dict[str, int]
    """Errors by fingerprint: kind and normalised message."""
    procedure_violations: int
    """Procedure violations."""


@dataclass(frozen=True)
class Exceeded(Variant):
    """Which limit was exceeded."""

    total_errors: bool = False
    """Too many errors."""
    same_error: Optional[str] = None
    """This error too often."""
    procedure_violations: bool = False
    """Too many procedure violations."""


@dataclass(frozen=True)
class FaultCount(Variant):
    """What a fault led to: true while the agent may go on."""

    counted: bool = False
    """Counted; there is room."""
    low: bool = False
    """Counted; 80 % of a limit are used."""
    exceeded: Optional[Exceeded] = None
    """Counted, and one too many: the agent is revoked."""

    def __bool__(self) -> bool:
        return self.exceeded is None


# Approvals


@dataclass(frozen=True)
class ApprovalRequest:
    """What was asked. Everything in it is covered by the request's hash."""

    id: str
    """Its id."""
    kind: Literal["action", "plan", "promotion"]
    """One call of a tool, a plan, or a profile's rise to a higher tier."""
    agent: str
    """Who asks."""
    pipeline: Optional[str]
    """In which pipeline."""
    action: str
    """What is to be done."""
    target: Optional[str]
    """To what."""
    path: Optional[str]
    """Where."""
    arguments: str
    """SHA-256 of the canonical arguments."""
    reason: str
    """Why a person is asked."""
    policy: Optional[str]
    """The hash of the policy that wants it."""
    quorum: int
    """How many people must approve."""
    administrator: bool
    """Whether one of them must be an administrator."""
    asked_at: datetime
    """When it was asked, on the store's clock."""
    deadline: datetime
    """Until when it may be approved and used, on the store's clock."""


@dataclass(frozen=True)
class ApprovalGiven:
    """What somebody said of a request."""

    approver: str
    """Who."""
    administrator: bool
    """Whether they are an administrator."""
    at: datetime
    """When, on their clock."""
    note: Optional[str]
    """Why, if they said so."""


@dataclass(frozen=True)
class ApprovalUse:
    """The use of an approval."""

    token: str
    """The intent that it was used for."""
    at: datetime
    """When."""


@dataclass(frozen=True)
class Uncounted:
    """What was found in the store and does not count."""

    approver: str
    """Who is said to have said it."""
    why: str
    """Why it does not count."""


@dataclass(frozen=True)
class Approval:
    """A request for approval, and where it stands."""

    request: ApprovalRequest
    """What was asked."""
    hash: str
    """Its hash, which is signed."""
    arguments: Optional[str]
    """The canonical arguments; none once they are gone."""
    state: Literal["pending", "approved", "denied", "expired", "void", "used"]
    """Where it stands."""
    approved: list[ApprovalGiven]
    """Who approved."""
    denied: Optional[ApprovalGiven]
    """Who denied it first."""
    used: Optional[ApprovalUse]
    """What it was used for."""
    uncounted: list[Uncounted]
    """What does not count, and why."""


# Alerts


@dataclass(frozen=True)
class Alert:
    """What a person should hear of."""

    type: str
    """What of, as `violation_detected`, `agent_revoked`, `stop_all`."""
    at: datetime
    """When."""
    data: Any
    """What it says."""


@dataclass(frozen=True)
class NewAlerts:
    """Alerts that came since the last look."""

    missed: bool
    """Whether some were dropped before they were read."""
    alerts: list[Alert]
    """They, oldest first."""


# How everything is


@dataclass(frozen=True)
class ComponentHealth:
    """How a part is."""

    component: Literal["store", "ledger", "disk", "model", "tools", "agents", "caretaker"]
    """Which."""
    state: Literal["healthy", "degraded", "unknown", "unhealthy"]
    """How it is."""
    reason: str
    """Why."""
    advice: Optional[str]
    """What a person can do about it."""
    since: datetime
    """Since when it is so, as far as is known."""
    latency_ms: int
    """How long the look took."""


@dataclass(frozen=True)
class Health:
    """How everything is."""

    state: Literal["healthy", "degraded", "unknown", "unhealthy"]
    """As ill as the worst part."""
    at: datetime
    """When it was looked at."""
    components: list[ComponentHealth]
    """Each part."""


# Policies


@dataclass(frozen=True)
class PolicyVersion:
    """A version of a profile: what was in force from then on."""

    name: str
    """The profile's name."""
    version: int
    """1, 2, 3, …"""
    tier: Optional[Tier]
    """For which tier it is made; none where it was withdrawn."""
    hash: Optional[str]
    """The hash that decisions name; none where it was withdrawn."""
    text: Optional[dict[str, str]]
    """What was written, as `profile`, and its `conditions`, where there are some; none where it was withdrawn."""
    by: str
    """Who says to have done it."""
    at: datetime
    """When, by the clock of whoever did it."""
    note: Optional[str]
    """Why, in their words."""
    of: Optional[int]
    """The version that was put in force again by this one."""


@dataclass(frozen=True)
class Applied:
    """What came of a change."""

    version: PolicyVersion
    """What is in force now."""
    changed: bool
    """Whether that is new."""


# Agents


@dataclass(frozen=True)
class AgentOutput:
    """What an agent put out in a phase."""

    agent_id: str
    """Who."""
    phase: AgentPhase
    """When in its life."""
    output_type: OutputType
    """How mature."""
    content: Any
    """The output."""
    content_hash: str
    """SHA-256 of the content's canonical JSON, in hex."""
    created_at: datetime
    """When."""


@dataclass(frozen=True)
class InstructionPacket:
    """What an agent is told to do, and under which constraints."""

    packet_id: str
    """The packet."""
    agent_id: str
    """For whom."""
    tier: Tier
    """With which trust."""
    objective: str
    """What."""
    constraints: list[str]
    """What must hold."""
    allowed_actions: list[str]
    """What it may do."""
    error_budget: int
    """How many errors it may make."""
    deadline: Optional[datetime]
    """Until when."""
    evidence_required: list[str]
    """What it must show."""


@dataclass(frozen=True)
class Evidence:
    """Something that shows what an agent did."""

    name: str
    """Its name."""
    kind: str
    """What kind of thing it is, as `log`, `diff`, `test_report`."""
    content_hash: str
    """SHA-256 of its content, in hex."""
    reference: str
    """Where its content is: a file below the home directory, or `inline`."""
    text: Optional[str]
    """The content, where it is inline."""
    bytes: int
    """How many bytes the content has."""


@dataclass(frozen=True)
class EvidencePackage:
    """What an agent shows for what it put out."""

    agent_id: str
    """Whose."""
    outputs: list[str]
    """The hashes of the outputs that it belongs to, oldest first."""
    evidence: list[Evidence]
    """The evidence."""
    created_at: datetime
    """When something was added last."""


@dataclass(frozen=True)
class CheckResult:
    """What came of a check: true if it passed."""

    name: str
    """Its name."""
    passed: bool
    """Whether it passed."""
    reason: Optional[str]
    """Why not, for people."""
    took: float
    """How long it took, in seconds."""

    def __bool__(self) -> bool:
        return self.passed


@dataclass(frozen=True)
class PreflightReport:
    """What came of a preflight: true if work can begin."""

    agent_id: str
    """Whose."""
    passed: bool
    """Whether every check passed, and none was missing that the profile asks for."""
    checks: list[CheckResult]
    """Each check, the usual ones first."""
    at: datetime
    """When."""

    def __bool__(self) -> bool:
        return self.passed


@dataclass(frozen=True)
class AgentRecord:
    """An agent as the register has it."""

    id: str
    """Its id."""
    profile: str
    """What it is an instance of."""
    version: Optional[str]
    """The version of what governs it; none before it lived."""
    tier: Tier
    """How far it is trusted."""
    role: AgentRole
    """What it is for."""
    capabilities: list[Capability]
    """What it can do."""
    pipeline: Optional[str]
    """Its pipeline."""
    runtime: str
    """What runs it."""
    pid: Optional[int]
    """The process that runs it, or ran it last."""
    host: Optional[str]
    """The machine of that process."""
    since: Optional[datetime]
    """When it was admitted."""
    phase: AgentPhase
    """Where it is in its life."""
    status: AgentStatus
    """Its state."""
    health: Literal["starting", "healthy", "degraded", "lost", "ended", "revoked"]
    """How it is."""
    why: Optional[str]
    """Why it is not well, for people."""
    waits_for: Optional[str]
    """The approval that it waits for, while it waits."""


@dataclass(frozen=True)
class AgentDetail(AgentRecord):
    """Everything that is known of one agent."""

    last_progress: Optional[datetime]
    """When it was last seen to get further."""
    last_beat: Optional[datetime]
    """Its last sign of life that still counts."""
    spend: list[Usage]
    """What it may spend, and has."""
    faults: Faults
    """What it did wrong."""
    fault_limits: dict[str, int]
    """How much of that it may do."""
    revocation: "Optional[Revocation]"
    """Why it was revoked, if it was."""
    packet: Optional[InstructionPacket]
    """What it was told."""
    preflight: Optional[PreflightReport]
    """What came of its preflight."""
    outputs: list[AgentOutput]
    """What it put out."""
    evidence: Optional[EvidencePackage]
    """What it showed for it."""


# Promotions


class PromotionRequirements(TypedDict, total=False):
    """What it takes to rise, where a profile asks for more than the rules of its tier."""

    runs: int
    consecutive: int
    actions: list[str]
    modifications: int
    clean_days: int
    review: bool
    administrator: bool


class _Target(TypedDict):
    target: str


class PromotionTerms(_Target, total=False):
    """What a profile asks for before it rises to the next tier, `target`. It may only be stricter than the tier's rules."""

    requirements: PromotionRequirements


@dataclass(frozen=True)
class ProfileHistory:
    """What is known of what a profile's agents did, counted when each had ended."""

    compliant: int
    """Compliant runs in all, since it last rose or fell."""
    consecutive: int
    """Compliant runs in a row, up to the last."""
    not_compliant: int
    """Runs that were not compliant."""
    actions: dict[str, int]
    """How often each action was done, by name."""
    modifications: int
    """Actions that changed something, and succeeded."""
    violations: list[datetime]
    """When it broke a rule, oldest first."""


@dataclass(frozen=True)
class StandingChange:
    """A change of a standing."""

    from_tier: Optional[Tier]
    """From."""
    to_tier: Optional[Tier]
    """To."""
    status: PromotionStatus
    """What the promotion came to."""
    by: str
    """By whom."""
    reason: str
    """Why."""
    at: datetime
    """When."""


@dataclass(frozen=True)
class ProfileStanding:
    """How far a profile is trusted, and how it came to that."""

    profile: str
    """The profile."""
    tier: Optional[Tier]
    """How far it is trusted; none where nobody registered it, and it joins as its operator says."""
    status: PromotionStatus
    """Where its promotion stands."""
    history: ProfileHistory
    """What its agents did since it last rose or fell."""
    terms: Optional[PromotionTerms]
    """What it asks for beyond the rules of its tier."""
    review: Optional[dict[str, Any]]
    """The review that it waits for, as JSON says it."""
    changes: list[StandingChange]
    """How it came to stand there, oldest first."""


@dataclass(frozen=True)
class Requirement:
    """One requirement, with how far a profile is: true if it is met."""

    name: str
    """What is counted."""
    have: int
    """What there is."""
    need: int
    """What is asked for: at least so much, or, for `violations`, at most."""
    met: bool
    """Whether it is met."""

    def __bool__(self) -> bool:
        return self.met


@dataclass(frozen=True)
class Eligibility:
    """Whether a profile may rise: true if everything is met that is counted."""

    status: PromotionStatus
    """Eligible or not; what people still have to say is not part of it."""
    target: Optional[Tier]
    """To which tier; none from the highest."""
    requirements: list[Requirement]
    """Each requirement."""
    review: bool
    """Whether a person must review."""
    administrator: bool
    """Whether an administrator must approve."""

    def __bool__(self) -> bool:
        return self.status == PromotionStatus.ELIGIBLE


# Revocation


@dataclass(frozen=True)
class Unfinished:
    """What runs on although it was to end."""

    generation: int
    """The generation of what was to end it."""
    agent: str
    """For whom it runs."""
    what: str
    """What it is."""


@dataclass(frozen=True)
class ProcessReceipt:
    """What one process says of a revocation or a stop."""

    state: Literal["issued", "confirmed", "overdue", "gone"]
    """Told and not answered yet; all was ended; not in time; or the process is not there any more."""
    pid: int
    """The process id."""
    host: str
    """Its host."""
    runtime: str
    """What the process is written in, as far as it says: python, node, bun, rust."""
    confirmed_at: Optional[datetime]
    """When it confirmed, on the store's clock."""
    ended: list[str]
    """Whose work it ended; the first of them."""
    ended_count: int
    """How many they are in all."""
    unfinished: list[Unfinished]
    """What runs on although it was to end."""


@dataclass(frozen=True)
class Receipts:
    """What all processes say of a revocation or a stop."""

    generation: int
    """The store's generation that it came to."""
    issued_at: datetime
    """When it was issued, on the store's clock."""
    receipts: list[ProcessReceipt]
    """One of each process that worked for agents then."""


@dataclass(frozen=True)
class Receipt:
    """A revocation that store and ledger both hold. Nothing admitted before lands any more."""

    epoch: int
    """The epoch now."""
    generation: int
    """The store's generation now."""


@dataclass(frozen=True)
class RevokedPipeline:
    """A pipeline whose admission was revoked."""

    pipeline: Receipt
    """The end of what its agents were begun under."""
    revoked: list[str]
    """The agents that were revoked now, or before."""
    ended: list[str]
    """The agents that had ended by themselves."""


@dataclass(frozen=True)
class Revocation:
    """Why an agent was revoked."""

    agent_id: str
    """Who."""
    pipeline_id: Optional[str]
    """Its pipeline."""
    type: RevocationType
    """As what."""
    reason: str
    """Why, for people."""
    at: datetime
    """When."""


@dataclass(frozen=True)
class Stop:
    """A stop that is in force."""

    reason: str
    """Why, for people."""
    at: datetime
    """When."""


@dataclass(frozen=True)
class Revoke:
    """An agent that was revoked for what was seen of it."""

    kind: RevocationType
    """As what."""
    diagnose: bool
    """Whether a diagnostic agent is wanted."""


@dataclass(frozen=True)
class Response(Variant):
    """What an observation led to: true while the agent may go on."""

    nothing: bool = False
    """Nothing."""
    alert: bool = False
    """It is logged, with an alert."""
    fault: bool = False
    """It counts against the error budget."""
    rate_limit: bool = False
    """The agent's calls are held back."""
    revoke: Optional[Revoke] = None
    """The agent is revoked."""

    def __bool__(self) -> bool:
        return self.revoke is None


# Consensus


class One(TypedDict):
    """A ballot for one option: majority, supermajority, unanimity, plurality, weighted."""

    one: str


class Approve(TypedDict):
    """A ballot for several options alike: approval."""

    approve: list[str]


class Rank(TypedDict):
    """A ballot that names the best first: ranked."""

    rank: list[str]


class Points(TypedDict):
    """A ballot that distributes ten points at most: cumulative."""

    points: dict[str, int]


Choice = Union[Literal["abstain"], One, Approve, Rank, Points]
"""What a ballot says."""


class Cast(str, Enum):
    """What became of a ballot: true if it counts."""

    ACCEPTED = "accepted"
    """It counts."""
    ALREADY_VOTED = "already_voted"
    """The member has voted already; the first ballot stands."""
    EARLY = "early"
    """Ballots are still being committed: reveal later."""
    CLOSED = "closed"
    """No ballots are taken any more."""

    def __new__(cls, value: str) -> "Cast":
        cast = str.__new__(cls, value)
        cast._value_ = value
        return cast

    def __bool__(self) -> bool:
        return self is Cast.ACCEPTED


@dataclass(frozen=True)
class Voter:
    """Who may vote."""

    id: str
    """Who."""
    weight: int
    """What its ballot weighs."""
    epoch: int
    """The epoch it was admitted with when the proposal was opened."""


@dataclass(frozen=True)
class NoQuorum:
    """Too few ballots."""

    cast: int
    """How many were cast and valid."""
    needed: int
    """How many were needed."""


@dataclass(frozen=True)
class ShortOf:
    """No option got as much as the rule asks."""

    best: str
    """The best option."""
    got: int
    """What it got."""
    of: int
    """Out of how much."""


@dataclass(frozen=True)
class Undecided(Variant):
    """Why nothing was decided."""

    no_quorum: Optional[NoQuorum] = None
    """Too few ballots."""
    tie: Optional[list[str]] = None
    """These options got the most."""
    short_of: Optional[ShortOf] = None
    """No option got as much as the rule asks."""
    no_votes: bool = False
    """Nobody was for anything."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of a vote: true if something was decided."""

    outcome: Literal["decided", "undecided"]
    """Whether one option won."""
    option: Optional[str]
    """Which."""
    reason: Optional[Undecided]
    """Why none did. Never a yes."""
    counts: dict[str, int]
    """What each option got."""

    def __bool__(self) -> bool:
        return self.option is not None


@dataclass(frozen=True)
class ProposalState(Variant):
    """Where a proposal stands: true while ballots are taken."""

    open: bool = False
    """Ballots are taken."""
    revealing: bool = False
    """Commitments are revealed."""
    closing: bool = False
    """No more ballots; being counted."""
    closed: Optional[Outcome] = None
    """Counted, for ever."""

    def __bool__(self) -> bool:
        return self.open or self.revealing


@dataclass(frozen=True)
class Proposal:
    """A proposal as it stands."""

    question: Any
    """The question."""
    options: list[str]
    """The options."""
    rule: str
    """How ballots become a decision: majority, supermajority, unanimity, plurality, ranked, approval, cumulative or weighted."""
    quorum: int
    """The ballots needed."""
    electorate: list[Voter]
    """Who may vote."""
    deadline: datetime
    """Until when, on the store's clock."""
    reveal_until: Optional[datetime]
    """For how long ballots may be revealed after that."""
    opened_by: str
    """Who opened it."""
    state: ProposalState
    """Where it stands."""


@dataclass(frozen=True)
class VoteEvent:
    """Something that happened to a proposal."""

    cursor: Cursor
    """Where to go on behind it."""
    position: int
    """1, 2, 3, … within the task."""
    at: datetime
    """When, on the store's clock."""
    proposal_id: str
    """To which one."""
    type: Literal["opened", "vote", "moved"]
    """What: it was put to the vote; a member voted, committed or revealed; another step of the vote began, or it ended."""
    by: Optional[str]
    """Who opened it."""
    member: Optional[str]
    """Whose ballot."""
    state: Optional[ProposalState]
    """Where it stands now, if it moved."""


# Agent


@dataclass(frozen=True)
class AgentEvent:
    """Something that an agent should know of itself."""

    event: Literal["revoked", "budget_low"]
    """Its admission has ended: nothing more that it writes lands; or it has used four fifths of something."""
    reason: Optional[str]
    """Why it was revoked, for people."""
    unit: Optional[str]
    """What runs low: a unit, `errors`, or `procedure_violations`."""
    used: Optional[int]
    """How much of it is used."""
    limit: Optional[int]
    """How much of it there is."""
    scope: Any = None
    """Whose it is, where it is not its own: `{"pipeline": id}` or `"tenant"`."""


class Traits(TypedDict):
    """How a solution does, 0 to 10 each."""

    simplicity: int
    speed: int
    correctness: int
    safety: int
    economy: int


class Idea(TypedDict):
    """A proposed solution: its name, what it is, what to do in order, and how it does on what matters."""

    title: str
    summary: str
    steps: list[str]
    traits: Traits


class Analysis(TypedDict):
    """What an objective is about: its field, its own words, what matters most, what is left open."""

    field: str
    terms: list[str]
    priorities: list[str]
    questions: list[str]


@dataclass(frozen=True)
class Proposed:
    """A solution on the blackboard."""

    name: str
    """Its name there, which is its option's name in a vote."""
    author: str
    """Whose it is."""
    idea: Idea
    """What it is."""


class ChatMessage(TypedDict):
    """Something said in a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True)
class Charge:
    """What a call of a model cost."""

    input_tokens: int
    """Tokens read."""
    output_tokens: int
    """Tokens written."""
    cost: Optional[int]
    """Millionths of a dollar, where the server says."""
    estimated: bool
    """Whether the tokens are guessed, because the server did not say."""


@dataclass(frozen=True)
class ChatReply:
    """A model's answer, and what it cost."""

    content: str
    """The answer, in words."""
    charge: Charge
    """What it cost."""


# Ledger


@dataclass(frozen=True)
class AgentAction:
    """An entry of the record."""

    seq: int
    """Its number in the record: 1, 2, 3, … without holes."""
    segment: str
    """The segment it came from."""
    number: int
    """Its number there."""
    at: datetime
    """When, on the writer's clock."""
    kind: Literal["intent", "outcome", "note"]
    """Before, after, or beside what it tells of."""
    action: str
    """What."""
    agent_id: Optional[str]
    """By whom."""
    pipeline_id: Optional[str]
    """In which pipeline."""
    intent: Optional[str]
    """The intent that it ends."""
    result: Optional[Literal["ok", "error", "unknown"]]
    """How that ended."""
    payload: str
    """Details, as JSON text."""


@dataclass(frozen=True)
class Listing:
    """A part of the record."""

    actions: list[AgentAction]
    """The entries."""
    unsequenced: int
    """How many entries of any kind are written but not in the record yet."""


@dataclass(frozen=True)
class Finding:
    """The first thing that is wrong with the record."""

    seq: int
    """The first bad entry."""
    message: str
    """What is wrong, for people."""
    fault: dict[str, Any]
    """What is wrong, for programs: `problem` names it."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with a segment that is not in the record yet. Its file is kept."""

    segment: str
    """The segment, or its file's name."""
    number: int
    """The first entry that cannot be read."""
    offset: int
    """Where it begins."""
    why: str
    """What is wrong."""


@dataclass(frozen=True)
class Report:
    """The result of checking a ledger: true if everything is as it was written."""

    ledger: str
    """Whose."""
    entries: int
    """How many entries were checked."""
    heads: int
    """How many signed heads were checked."""
    root: str
    """The root over what was checked, in hex."""
    first: Optional[Finding]
    """The first thing that is wrong with the record."""
    segments: list[Problem]
    """What is wrong with segments that are not in the record yet."""
    unreadable_heads: list[int]
    """Lines of the file `heads` that are no heads."""
    unsequenced: int
    """How many entries are whole but not in the record yet."""
    vanished: list[str]
    """Segments that were gone before they were read to their end."""
    damaged: list[str]
    """Segments that were found damaged after their owners' death."""

    @property
    def intact(self) -> bool:
        """Whether everything is as it was written. Vanished and damaged segments do not change this: the record itself tells of them."""
        return self.first is None and not self.segments and not self.unreadable_heads

    def __bool__(self) -> bool:
        return self.intact
