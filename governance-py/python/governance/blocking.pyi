"""Governed state for code that waits: every call answers when it is done, and other threads run meanwhile."""

import os
from collections.abc import Iterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, ClassVar, Literal, Optional, Protocol, TypeVar, Union, final, overload, type_check_only

from typing_extensions import ParamSpec, Self, TypeAlias, Unpack

from ._current import _Mode, _ToolOptions, govern as govern
from ._governance import AgentPhase, AgentRole, AgentStatus, Delivery, GammaReason, Head, Reservation, RevocationType, Section, Tier, ViolationType
from .records import (
    AgentDetail,
    AgentEvent,
    AgentOutput,
    AgentRecord,
    Alert,
    Analysis,
    Applied,
    Approval,
    BoardEntry,
    BoardEvent,
    BusEvent,
    BusMember,
    BusMessage,
    Cast,
    ChatMessage,
    ChatReply,
    Choice,
    Cursor,
    DeadLetter,
    Eligibility,
    EvidencePackage,
    FaultCount,
    Faults,
    Gap,
    Health,
    Idea,
    InstructionPacket,
    Listing,
    NewAlerts,
    Outcome,
    PolicyVersion,
    PreflightReport,
    ProfileStanding,
    PromotionTerms,
    Proposal,
    Proposed,
    Receipt,
    Receipts,
    Report,
    Response,
    Revocation,
    RevokedPipeline,
    ScopeUsage,
    Sent,
    Settled,
    Spend,
    Stop,
    Usage,
    VoteEvent,
    Written,
)

__all__ = [
    "Agent",
    "Allowance",
    "Approvals",
    "Blackboard",
    "Consensus",
    "ErrorBudget",
    "Governance",
    "Ledger",
    "Limits",
    "MessageBus",
    "Model",
    "Policies",
    "Promotions",
    "RevocationEngine",
    "Step",
    "govern",
]

@type_check_only
class _Dataclass(Protocol):
    __dataclass_fields__: ClassVar[Any]

@type_check_only
class _Model(Protocol):
    def model_dump(self, *, mode: str) -> Any: ...

_P = ParamSpec("_P")
_R = TypeVar("_R")
# Anything that JSON can say, a dataclass, or a pydantic model.
_Json: TypeAlias = Union[None, bool, int, float, str, Sequence["_Json"], Mapping[str, object], _Dataclass, _Model]
# Seconds, or a span.
_Span: TypeAlias = Union[float, timedelta]
_After: TypeAlias = Union[Cursor, Mapping[str, int]]
_Section: TypeAlias = Union[Section, Literal["problem", "solutions", "progress", "consensus"]]
_Unit: TypeAlias = Literal["calls", "tokens", "cost", "concurrency"]
# Whose limit it is, and of what.
_Scope: TypeAlias = Union[Literal["tenant"], Mapping[Literal["agent"], str], Mapping[Literal["pipeline"], str]]
_Limited: TypeAlias = Literal["calls_per_minute", "concurrency", "tokens", "cost", "errors", "wall_time", "calls"]
_Rule: TypeAlias = Literal["majority", "supermajority", "unanimity", "plurality", "ranked", "approval", "cumulative", "weighted"]
_Role: TypeAlias = Union[AgentRole, Literal["alpha", "beta", "gamma"]]
# `list` is a method of `Approvals` and of `Policies`.
_Requests: TypeAlias = list[Approval]
_Versions: TypeAlias = list[PolicyVersion]
# What a check answers that passes, or why it fails; and a check: a function, or what to look at, as `{"dependencies": ["git"]}`.
_Found: TypeAlias = Union[None, bool, str]
_Check: TypeAlias = Union[Callable[[], Union[_Found, Awaitable[_Found]]], Mapping[str, object]]
_Tier: TypeAlias = Union[Tier, Literal["T0", "T1", "T2", "T3", "T4"]]
_Revocation: TypeAlias = Union[RevocationType, Literal["error_budget", "procedure", "lock", "heartbeat", "policy", "manual"]]

@final
class Governance:
    """Governed state: a store, its ledger, and everything that stands on them.

    What it hands out acts as a person, or a part of the system, of the name that is given. Once it is closed, every call of it and of what it
    handed out is an `InvalidError` with the code `closed`.
    """

    @classmethod
    def open(cls, *, home: Union[str, os.PathLike[str], None] = None, store: Optional[str] = None) -> Governance:
        """Opens what the arguments, the environment and the home directory's `config.toml` say, and makes what is not there yet.

        `store` is `sqlite:PATH`, `redis://HOST:PORT`, another form of docs/stores.md, or `memory:`; a file in the home directory if nothing says
        otherwise.
        """

    def blackboard(self, task: str, author: str) -> Blackboard:
        """A task's blackboard, as one author sees and writes it."""

    def bus(self, task: str, member: str) -> MessageBus:
        """A task's bus, as one member hears and uses it."""

    def consensus(self, task: str, member: str) -> Consensus:
        """A task's votes, as one member sees them and takes part."""

    def budget(self, owner: str) -> ErrorBudget:
        """The budget of its owner."""

    def begin(self, objective: str) -> str:
        """Begins a pipeline whose agents join by themselves, with `agent`. Answers its id. A `DeniedError` while a stop is in force."""

    def end(self, pipeline: str) -> None:
        """Ends a pipeline of agents that joined by themselves: it is `COMPLETED`, and nobody joins it any more.

        A `ConflictError` while agents of it live (`agents_live`), or where a run owns it (`owned`) or it has ended otherwise (`already_ended`).
        """

    def agent(
        self,
        profile: Union[str, os.PathLike[str]],
        pipeline: str,
        *,
        role: Optional[_Role] = None,
        tier: Optional[_Tier] = None,
        root: Union[str, os.PathLike[str], None] = None,
    ) -> Agent:
        """Joins a pipeline as a fresh instance of a profile: `alpha` becomes `alpha-7f3k2q`.

        The profile's name is the role, and T0, observer, the tier, unless told otherwise; the tier's shipped profile says what the agent may do. Or it
        is a profile's file, which says what it may do, its name and its tier. `root` is the folder that its tools' paths are below; without one, they
        can use none. It may ask the configuration's model 64 times, unless it is granted more. A `NotFoundError` if there is no such pipeline.
        """

    def instruct(
        self,
        agent: str,
        *,
        objective: Optional[str] = None,
        constraints: Optional[Sequence[str]] = None,
        deadline: Optional[datetime] = None,
        evidence_required: Optional[Sequence[str]] = None,
    ) -> InstructionPacket:
        """Tells an agent anew what to do; what is not said here is not asked any more, and the objective is its pipeline's again.

        `deadline` is a time with its zone: after it, every governed call of the agent is denied, within a second, whatever it has read.
        `evidence_required` names what it must show before it reports. Answers the packet, with what its profile forbids among the constraints. A
        `NotFoundError` if there is no such agent, an `InvalidError` (`packet_too_large`) beyond 256 texts of 4096 bytes.
        """

    def health(self) -> Health:
        """How every part is, each looked at now."""

    def agents(
        self,
        *,
        tier: Optional[_Tier] = None,
        role: Optional[_Role] = None,
        status: Union[AgentStatus, str, None] = None,
        pipeline: Optional[str] = None,
        health: Optional[Literal["starting", "healthy", "degraded", "lost", "ended", "revoked"]] = None,
        profile: Optional[str] = None,
    ) -> list[AgentRecord]:
        """The register of agents, oldest first; only those that are as is said."""

    def agent_record(self, agent: str) -> AgentDetail:
        """One agent, with everything that is known of it. A `NotFoundError` if there is none."""

    @property
    def policies(self) -> Policies:
        """The profiles in force."""

    @property
    def limits(self) -> Limits:
        """What agents, pipelines and everything may use."""

    @property
    def promotions(self) -> Promotions:
        """How far profiles are trusted, and what changes that."""

    @property
    def approvals(self) -> Approvals:
        """What people are asked to approve."""

    def alerts(self, last: int) -> list[Alert]:
        """The newest alerts, at most so many, oldest first."""

    def new_alerts(self) -> Iterator[NewAlerts]:
        """Alerts as they come, beginning with all that are kept."""

    @property
    def revocations(self) -> RevocationEngine:
        """Revoking agents, stopping pipelines, stopping everything."""

    @property
    def ledger(self) -> Ledger:
        """The record."""

    @property
    def store_url(self) -> str:
        """The store's URL, without a password."""

    def catch_up(self, within: _Span) -> bool:
        """Waits until everything that is written, also by processes that died, is in the record. False if it was not in time."""

    def close(self) -> None:
        """Lets the agents that joined here leave and the next process keep house, and closes the ledger. Closing again does nothing."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> None: ...

@final
class Blackboard:
    """What the agents of a task know together: four sections of named entries, each with an author, a version and a time."""

    def post(self, section: _Section, name: str, content: _Json) -> int:
        """Writes a new entry. Answers its version, 1. A `ConflictError` if the name is taken."""

    def put_if(self, section: _Section, name: str, content: _Json, version: int) -> Written:
        """Replaces a version of an entry; 0 for an entry that is not there yet."""

    def remove_if(self, section: _Section, name: str, version: int) -> Written:
        """Removes a version of an entry. Its history stays, its versions go on, and so its name stays taken."""

    def entry(self, section: _Section, name: str) -> Optional[BoardEntry]:
        """One entry, also when it was removed; none if it never was."""

    def entries(self, section: _Section) -> list[BoardEntry]:
        """The entries of a section that were not removed, by name."""

    def history(self, section: _Section, name: str) -> list[BoardEntry]:
        """What an entry said, oldest first, as far as the events reach."""

    def events(self, after: Optional[_After] = None) -> Iterator[Union[BoardEvent, Gap]]:
        """Every write behind a cursor, in order, as it comes; what was missed comes as a `Gap`."""

@final
class MessageBus:
    """What the agents of a task say to each other.

    Messages are at-least-once and in order per sender and recipient: each stays in the recipient's inbox until it is acknowledged, comes again
    when it is not in time, and ends in the dead letters when it never is. Signals may be lost.
    """

    def join(
        self,
        *,
        capacity: Optional[int] = None,
        overflow: Optional[Literal["refuse", "drop_oldest"]] = None,
        redeliver_after: Optional[_Span] = None,
        max_deliveries: Optional[int] = None,
    ) -> None:
        """Becomes a member with an inbox, of 1,000 messages that come again after 30 s, 5 times, unless told otherwise. Joining again changes it."""

    def leave(self) -> int:
        """Leaves: what still waits in the inbox goes to the dead letters. Answers how much that was."""

    def members(self) -> list[BusMember]:
        """Who is on the bus, and with which inbox."""

    def send(self, to: str, body: _Json) -> Sent:
        """Sends a message to one member, of 1 MiB as JSON at most. A `NotFoundError` if there is none of that name."""

    def broadcast(self, body: _Json) -> Sent:
        """Sends a message to every other member: to all of them or, if an inbox is full, to none."""

    def reply(self, delivery: Delivery, body: _Json) -> Sent:
        """Answers a message."""

    def request(self, to: str, body: _Json, within: _Span) -> BusMessage:
        """Sends a message and waits for its answer, which also comes to the inbox. Join first. A `DeadlineError` if there is none in time."""

    def take(self) -> Optional[Delivery]:
        """The next message, if one waits and is not out for processing already."""

    def receive(self, within: Optional[_Span] = None) -> Optional[Delivery]:
        """Waits for the next message; none if none came in time. What was delivered to a call that was cancelled comes again."""

    def acknowledge(self, delivery: Delivery) -> None:
        """Says that a message was processed. A `ConflictError` if it was delivered again meanwhile."""

    def signal(self, body: _Json) -> None:
        """Says something to whoever listens now. May be lost."""

    def dead_letters(self) -> list[DeadLetter]:
        """Messages that nobody could process, oldest first."""

    def messages(self) -> Iterator[Delivery]:
        """Every message to this member, as it comes; acknowledge each."""

    def signals(self) -> Iterator[BusMessage]:
        """Hears signals, and every message as it is sent, from about now on. May lose some."""

    def record(self, after: Optional[_After] = None) -> Iterator[Union[BusEvent, Gap]]:
        """Follows the record of all messages behind a cursor; what was missed comes as a `Gap`."""

@final
class ErrorBudget:
    """What an agent may still spend, and how many faults it may still make.

    Units are calls, tokens, cost (millionths of a dollar) and concurrency; amounts are whole, at most 2^52. Spending never overshoots, however
    many processes draw on it.
    """

    def grant(self, unit: _Unit, limit: int) -> None:
        """Says how much may be spent in all, what is spent already included; opens a budget that an overrun closed.

        A `DeniedError` for an agent's own budget: nobody grants to themselves.
        """

    def usage(self, unit: _Unit) -> Optional[Usage]:
        """What is used of a unit; none if nothing was ever granted."""

    def remaining(self, unit: _Unit) -> int:
        """What is left of a unit; 0 if nothing was ever granted."""

    def spend(self, unit: _Unit, amount: int) -> Spend:
        """Spends at once, in one round trip."""

    def reserve(self, unit: _Unit, amount: int, ttl: _Span) -> Union[Reservation, Spend]:
        """Sets an amount aside for a while; what says why not, which is false, if there is not enough. If it lapses all of it counts as spent."""

    def settle(self, reservation: Reservation, used: int) -> Settled:
        """Says what was really used of a reservation; the rest comes back. Settling it again answers the same."""

    def allowance(self, unit: _Unit, piece: int, ttl: _Span) -> Allowance:
        """A local share: amounts are reserved in pieces, each for `ttl`, and drawn without a round trip."""

    def error(self, kind: str, message: str) -> FaultCount:
        """Counts an error. The 9th, or the 3rd of one kind and message, revokes the agent in the same step."""

    def procedure_violation(self) -> FaultCount:
        """Counts a violation of the procedure. The 2nd revokes the agent in the same step."""

    def faults(self) -> Faults:
        """The faults so far."""

@final
class Allowance:
    """A local share of a budget: what is drawn is proven by the ledger, what is not comes back, whatever happens to this process."""

    def draw(self, amount: int) -> Spend:
        """Draws an amount, and fetches the next piece when it must. Once this says so it may be spent."""

    def try_draw(self, amount: int) -> bool:
        """Draws an amount from the share that is held, without waiting. False where `draw` must be asked."""

    def left(self) -> int:
        """How much of the share that is held is left, as far as this process knows. Without waiting."""

    def close(self) -> None:
        """Gives the rest back."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> None: ...

@final
class Approvals:
    """What people are asked to approve. Agents ask, and never approve: in the process of one, `decide` is a `DeniedError`."""

    def list(self, last: int) -> _Requests:
        """The newest requests that are still known, at most so many, oldest first."""

    def approval(self, id: str) -> Approval:
        """A request, and where it stands. A `NotFoundError` if there is none."""

    def wait(self, id: str, within: _Span) -> Approval:
        """Waits until it is approved, denied, expired, void or used, at most so long. Answers where it stands then."""

    def decide(
        self,
        id: str,
        hash: str,
        verdict: Literal["approve", "deny"],
        key_file: Union[str, os.PathLike[str]],
        *,
        passphrase: Optional[str] = None,
        note: Optional[str] = None,
    ) -> Approval:
        """Signs a verdict with an approver's key and hands it in. `hash` is that of the request as it was shown: if it is another by now, a
        `ConflictError`, and nothing is signed.
        """

    def submit(self, signed: Mapping[str, _Json]) -> Approval:
        """Takes what an approver signed elsewhere. Verified here, and again by whoever uses it."""

@final
class Policies:
    """The profiles in force. A change is in force in every process within seconds; what is wrong changes nothing."""

    def list(self) -> _Versions:
        """What is in force, by name."""

    def version(self, name: str, *, version: Optional[int] = None) -> Optional[PolicyVersion]:
        """A profile's version in force, or another that is kept; none where there is none."""

    def history(self, name: str) -> _Versions:
        """A profile's versions, oldest first: the last 100 are kept here, all of them in the ledger."""

    def apply(self, text: str, by: str, *, note: Optional[str] = None, over: Optional[int] = None) -> Applied:
        """Checks a profile, YAML or JSON, and puts it in force. `by` says who does, `over` which version must be in force now, 0 for none.

        What is in force already stays so. A `ConflictError` (`policy_conflict`) if somebody else was first.
        """

    def rollback(
        self, name: str, by: str, *, to: Optional[int] = None, note: Optional[str] = None, over: Optional[int] = None
    ) -> Applied:
        """Puts an earlier version in force again, as a new one: the one before the last, or `to`."""

    def withdraw(self, name: str, by: str, *, note: Optional[str] = None, over: Optional[int] = None) -> Applied:
        """Takes a profile out of force: its agents are denied everything; one that stood in for a shipped profile gives way to it."""

@final
class Promotions:
    """How far profiles are trusted. A profile that nobody registered joins as its operator says; a registered one at no more than it stands at."""

    def standings(self) -> list[ProfileStanding]:
        """Every profile that something is known of. Counts the agents that have ended first."""

    def standing(self, profile: str) -> ProfileStanding:
        """How a profile stands. Counts the agents of it that have ended first."""

    def eligibility(self, profile: str) -> Eligibility:
        """What a profile lacks to rise, requirement by requirement."""

    def register(
        self, profile: str, tier: _Tier, by: str, reason: str, *, terms: Optional[PromotionTerms] = None
    ) -> ProfileStanding:
        """Gives a profile that has no standing yet the one that `by` answers for, with what it asks for before it rises.

        A `ConflictError` (`registered`) if it has one, an `InvalidError` (`bad_profile`) for terms that are laxer than the rules of its tier.
        """

    def promote(self, profile: str, by: str, reason: str, *, to: Optional[_Tier] = None) -> ProfileStanding:
        """Lets a profile rise by one tier. Where the rules ask for people they are asked: the status is `pending_review`, `review["approval"]` is the
        request, and it rises once enough of them have approved. Asking again finds what was asked.

        A `DeniedError` (`not_eligible`) if it lacks something, or (`approval_denied`) if it was denied and has shown nothing more; an `InvalidError`
        (`one_tier_at_a_time`) if `to` is not the next tier.
        """

    def demote(self, profile: str, by: str, reason: str, *, to: Optional[_Tier] = None) -> ProfileStanding:
        """Lets a profile fall by one tier, or to `to`. Everything is to be shown anew; its agents that live keep the tier they were admitted at.

        An `InvalidError` (`not_below`) if there is no such tier below.
        """

@final
class Limits:
    """What agents, pipelines and everything may use. What an agent uses counts for each that it is in, and the strictest limit wins.

    A scope is whose limit it is: `{"agent": ID}`, `{"pipeline": ID}` or `"tenant"`, which is everything. Units: `calls_per_minute`, `concurrency`,
    `tokens`, `cost` (millionths of a dollar), `errors`, `wall_time` (seconds), `calls`.
    """

    def set(self, scope: _Scope, unit: _Limited, limit: int) -> None:
        """Sets a limit, what is used already included; opens one that an overrun closed. Every process holds to it within five seconds.

        A `NotFoundError` for a pipeline or an agent that is not there, a `ConflictError` (`agent_ended`) for an agent that has ended.
        """

    def unset(self, scope: _Scope, unit: _Limited) -> None:
        """Takes a limit away; nothing where there is none. Refused as `set` is."""

    def usage(self, scopes: Sequence[_Scope]) -> list[ScopeUsage]:
        """How the limits stand that were set for these scopes. What a profile says for its own agents is not among them."""

@final
class RevocationEngine:
    """Ends the admission of agents, of pipelines, of everything. Once a call returns, nothing that was admitted before lands any more."""

    def revoke(self, agent: str, kind: _Revocation, reason: str) -> Receipt:
        """Revokes an agent and everything it admitted. The first revocation stands. A `NotFoundError` if there is no such agent."""

    def stop_pipeline(self, pipeline: str, reason: str) -> Receipt:
        """Stops a pipeline with all of its agents. A `NotFoundError` if there is none."""

    def revoke_pipeline(self, pipeline: str, kind: _Revocation, reason: str) -> RevokedPipeline:
        """Revokes a pipeline, then each of its agents by name."""

    def stop_all(self, reason: str) -> Receipt:
        """Stops everything, also what is being begun at this moment. Nothing begins until `lift`."""

    def receipts(self, generation: int, within: _Span) -> Receipts:
        """What each process says by now of what a receipt of this generation tells. Who has not confirmed so long after it was issued is overdue."""

    def confirmed(self, generation: int, within: _Span) -> Receipts:
        """The same, waiting until each process that was there has confirmed, is gone, or is overdue."""

    def lift(self) -> Receipt:
        """Lifts a stop: what was stopped stays so, but new work may begin. Changes nothing where no stop is in force."""

    def stop_in_force(self) -> Optional[Stop]:
        """The stop that is in force, if one is."""

    def revocation_of(self, agent: str) -> Optional[Revocation]:
        """Why an agent was revoked, if it was."""

    def revocations(self, last: int) -> list[Revocation]:
        """The newest revocations, at most so many, oldest first."""

    def violation(self, agent: str, violation: Union[ViolationType, str], detail: str) -> Response:
        """Takes note of a violation, and does what it leads to."""

    def error(self, agent: str, message: str) -> Response:
        """Counts an error in the agent's last minute, and does what that leads to: revoked after more than 5."""

    def api_call(self, agent: str) -> Response:
        """Counts an API call in the agent's last minute, and does what that leads to: held back after more than 100."""

    def idle(self, agent: str, span: _Span) -> Response:
        """Acts on an agent that has made no progress for so long: revoked after more than 60 s."""

@final
class Consensus:
    """A task's votes: one ballot a member, one outcome a proposal, ever. A tie or a missed quorum is undecided, and undecided is never a yes."""

    def propose(
        self,
        id: str,
        question: _Json,
        options: Sequence[str],
        electorate: Sequence[tuple[str, int]],
        within: _Span,
        *,
        rule: Optional[_Rule] = None,
        quorum: Optional[int] = None,
        sealed: bool = False,
    ) -> Proposal:
        """Puts something to the vote: 1 to 64 options, 1 to 64 voters with their weights, frozen from now on.

        Majority is the rule, and more than half of the electorate the quorum, unless told otherwise. Sealed ballots are committed first and
        revealed when all are in, or time is up. A `ConflictError` if the id is taken.
        """

    def proposal(self, id: str) -> Optional[Proposal]:
        """A proposal as it stands; none if there is none."""

    def vote(self, id: str, choice: Choice) -> Cast:
        """Casts this member's ballot. The first that is not void stands. A `DeniedError` for who is not in the electorate."""

    def commitment(self, id: str, choice: Choice, nonce: str) -> str:
        """What this member's sealed ballot shows before it is revealed: a hash, in hex. The nonce has 16 bytes or more and must be unguessable."""

    def commit_vote(self, id: str, commitment: str) -> Cast:
        """Casts a sealed ballot."""

    def reveal(self, id: str, choice: Choice, nonce: str) -> Cast:
        """Opens a sealed ballot, once all are in or time is up. A `DeniedError` if it is not what was committed to."""

    def settle(self, id: str) -> Optional[Outcome]:
        """Closes a vote when every member has voted or time is up, and counts. None while ballots can still come."""

    def settled(self, id: str) -> Optional[Outcome]:
        """The outcome, if the proposal is closed. Changes nothing."""

    def outcome(self, id: str) -> Outcome:
        """Waits for the outcome."""

    def votes(self, id: str) -> dict[str, Optional[Choice]]:
        """Who voted what, as far as it is open."""

    def events(self, after: Optional[_After] = None) -> Iterator[Union[VoteEvent, Gap]]:
        """What happens to the task's proposals behind a cursor, as it happens; what was missed comes as a `Gap`."""

@final
class Ledger:
    """The tamper-evident record of what was done."""

    @property
    def id(self) -> str:
        """Its id, given once and for all when it was made."""

    @property
    def home(self) -> os.PathLike[str]:
        """Its directory."""

    def list(
        self,
        *,
        pipeline: Optional[str] = None,
        agent: Optional[str] = None,
        action: Optional[str] = None,
        after: Optional[int] = None,
        limit: Optional[int] = None,
        newest_first: bool = False,
    ) -> Listing:
        """Lists a part of the record, 10,000 entries at most, with how much is not in it yet. `after` is a number of the record."""

    def head(self) -> Optional[Head]:
        """The last signed head; none while nothing is in the record."""

    def verify(self, head: Union[Head, str, Mapping[str, Any], None] = None) -> Report:
        """Checks everything, up to a head that was kept elsewhere too. Changes nothing."""

@final
class Agent:
    """A governed agent that lives in this process: every write of it is fenced by its admission, charged to its budget, and recorded.

    Its execution lock and its heartbeat are kept in the background until it leaves. Once it is revoked, what it writes is a `RevokedError`.
    """

    @classmethod
    def seated(cls, *, root: Union[str, os.PathLike[str], None] = None) -> Agent:
        """Sits down on the seat that a supervisor hands over, as one line of JSON on standard input. When that input closes, this process ends.

        `root` is the folder that its tools' paths are below.
        """

    @property
    def id(self) -> str:
        """Who it is."""

    @property
    def role(self) -> AgentRole:
        """What it is for."""

    @property
    def pipeline(self) -> str:
        """Its pipeline."""

    @property
    def tier(self) -> Tier:
        """How far it is trusted."""

    @property
    def objective(self) -> str:
        """What is asked."""

    @property
    def tries(self) -> int:
        """Which try of the run this is, from 1."""

    @property
    def blackboard(self) -> Blackboard:
        """The pipeline's blackboard, as this agent writes it."""

    @property
    def bus(self) -> MessageBus:
        """The pipeline's bus, as this agent uses it."""

    @property
    def consensus(self) -> Consensus:
        """The pipeline's votes, as this agent takes part in them."""

    @property
    def budget(self) -> ErrorBudget:
        """Its own budget. It cannot grant to itself."""

    @property
    def model(self) -> Model:
        """What thinks for it, governed."""

    @overload
    def govern(
        self, tool: Callable[_P, _R], /, *, action: str, path_from: Optional[str] = None, opened: None = None, **options: Unpack[_ToolOptions]
    ) -> Callable[_P, _R]:
        """Governs a tool for this agent. Also a decorator: see `governance.govern`."""

    @overload
    def govern(
        self, tool: None = None, /, *, action: str, path_from: Optional[str] = None, opened: None = None, **options: Unpack[_ToolOptions]
    ) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
    @overload
    def govern(
        self, tool: Callable[..., _R], /, *, action: str, path_from: str, opened: _Mode, **options: Unpack[_ToolOptions]
    ) -> Callable[..., _R]: ...
    @overload
    def govern(
        self, tool: None = None, /, *, action: str, path_from: str, opened: _Mode, **options: Unpack[_ToolOptions]
    ) -> Callable[[Callable[..., _R]], Callable[..., _R]]: ...

    def check(self) -> None:
        """A `RevokedError` when this process already knows that the agent's admission has ended. Without waiting."""

    def phase(self) -> AgentPhase:
        """Where it is in its life."""

    def enter(self, phase: Union[AgentPhase, str], waiting: Optional[_Span] = None) -> None:
        """Enters the next phase of its life; stays where it is if it was there already. A `DeniedError` if PACKAGE would be skipped.

        Where its profile wants plans approved, EXECUTE is entered by an approval of exactly what was put out last in PLAN: a `DeniedError`
        with `approval_required`, and the request in its details, until people have approved it. It waits so long for them.
        """

    def output(self, content: _Json) -> AgentOutput:
        """Puts something out, as its phase classes it. The newest 64 are kept; the ledger keeps the hash of each."""

    def outputs(self) -> list[AgentOutput]:
        """What it put out, oldest first."""

    def packet(self) -> Optional[InstructionPacket]:
        """What it was told to do, and under which constraints."""

    def preflight(self, checks: Mapping[str, _Check], *, within: Optional[_Span] = None) -> PreflightReport:
        """Looks whether work can begin: the usual checks (`store`, `admission`, `lock`, `budget`, `profile`, `root`), then these, by name.

        A check passes that answers nothing or true. One that answers a text fails with it, one that raises with what it raised. It is a function,
        which runs on a thread of its own, or a coroutine function; or it says what to look at: `{"sandbox": FOLDER}` (there, and can be written to),
        `{"inventory": {"file": FILE, "targets": [NAME]}}`, `{"dependencies": [PROGRAM]}`, `{"command": [PROGRAM, ARGUMENT]}` (exit code 0). Each has
        10 seconds, or `within`; what is late has failed.

        The report is kept and recorded. Where the profile wants a preflight, nothing is changed and EXECUTE is not entered until one has passed.
        """

    def package(self, exhibits: Sequence[_Json]) -> EvidencePackage:
        """Bundles evidence for what it put out, and enters PACKAGE from VERIFY. Each exhibit is `{name, kind, text}` or `{name, kind, file}`.

        A file is one that its tools could touch: below its root, at a path that its profile allows. What was shown stays as it is. A `DeniedError` before
        VERIFY, and for any other file.
        """

    def analyse(self) -> Analysis:
        """What the objective is about."""

    def propose(self) -> None:
        """Proposes its own solution, under its name, and the rivals that it cannot rule out, as `{agent}-rival-{n}`."""

    def offer(self, name: str, idea: Union[Idea, _Dataclass, _Model]) -> None:
        """Puts a solution on the blackboard, on the record. One of that name that is there already stays."""

    def proposals(self) -> list[Proposed]:
        """Every solution on the blackboard, by name."""

    def evaluate(self) -> None:
        """Judges every solution on the blackboard."""

    def combine(self) -> Optional[str]:
        """Builds one solution out of all, and puts it on the blackboard. Answers its name; none where there are not two."""

    def mediate(self, reason: Union[GammaReason, str]) -> None:
        """Reconciles what the others proposed into a solution of its own, as a mediator."""

    def hand_in(self) -> None:
        """Verifies its own proposal, bundles it as its output, and reports."""

    def request_plan(self, plan: _Json) -> Approval:
        """Asks people to approve a plan before it is carried out, as many and within the time that its profile says."""

    def demote(self, profile: str, reason: str) -> ProfileStanding:
        """Lets a profile fall by one tier, as an agent that reviews those of its tier: T3 those of T0 to T2, T4 those below it.

        A `DeniedError` (`may_not_review`) for any other, which is revoked for it.
        """

    def vote(self, proposal: str, choice: Choice) -> Cast:
        """Casts its ballot, on the record."""

    def vote_best(self, proposal: str) -> Cast:
        """Judges every solution again, and votes for the best; abstains when it can tell none apart."""

    def next_step(self) -> Optional[Step]:
        """Waits for the next thing to do; none when it was told to leave, and has left. A `RevokedError` when its admission has ended."""

    def next_event(self) -> Optional[AgentEvent]:
        """Waits for the next thing it should know of itself; none when nothing more can come."""

    def leave(self) -> None:
        """Leaves: gives back its lock, what it reserved, and its place on the bus."""

    def steps(self) -> Iterator[Step]:
        """Step after step, until it is told to leave."""

    def events(self) -> Iterator[AgentEvent]:
        """What it should know of itself, as it comes."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> None: ...

@final
class Step:
    """One thing to do. Report it done or failed; one that is neither comes again.

    Entered with `async with` it reports by itself: an exception is reported as a failure and goes no further, unless it is a revocation.
    """

    @property
    def stage(self) -> Literal["work", "evaluate", "mediate", "vote", "message"]:
        """What kind of work it is."""

    @property
    def reason(self) -> Optional[GammaReason]:
        """Why a mediator is called, where it is to mediate."""

    @property
    def proposal(self) -> Optional[str]:
        """What is voted on, where it is to vote."""

    @property
    def message(self) -> Optional[BusMessage]:
        """What was said, where another agent said something."""

    def done(self) -> None:
        """It is done. A `ConflictError` if it was reported already."""

    def failed(self, code: str, message: str) -> FaultCount:
        """It failed, with an error of this code. The error that is one too many revokes the agent."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> bool: ...

@final
class Model:
    """What thinks for an agent: budgeted, recorded, behind the breaker that all processes share."""

    @property
    def name(self) -> str:
        """Its name."""

    def is_open(self) -> bool:
        """Whether the breaker is known to be open, so that calls would be refused. Without waiting."""

    def chat(self, messages: Sequence[ChatMessage]) -> ChatReply:
        """Asks whatever an agent of one's own asks, 1 MiB at most. The answer is words; nothing checks what they say.

        An `ExhaustedError` when its budget is used up, an `UnavailableError` while the breaker is open.
        """
