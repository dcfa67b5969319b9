"""The native module. Import from `governance` instead."""

from asyncio import Future
from datetime import datetime
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Optional, final, type_check_only

from typing_extensions import Self

from .records import BusMessage

@type_check_only
class _Text(str, Enum):  # type: ignore[misc]  # made at load, with the members below
    def __new__(cls, value: str) -> Self: ...

class AgentPhase(_Text):
    BOOTSTRAP = "BOOTSTRAP"
    PREFLIGHT = "PREFLIGHT"
    PLAN = "PLAN"
    EXECUTE = "EXECUTE"
    VERIFY = "VERIFY"
    PACKAGE = "PACKAGE"
    REPORT = "REPORT"
    EXIT = "EXIT"
    REVOKED = "REVOKED"

class OutputType(_Text):
    ALPHA = "Alpha"
    BETA = "Beta"
    GAMMA = "Gamma"

class AgentStatus(_Text):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    REVOKED = "revoked"

class AgentRole(_Text):
    ALPHA = "alpha"
    BETA = "beta"
    GAMMA = "gamma"

class PipelineStatus(_Text):
    SPAWN = "SPAWN"
    RUNNING = "RUNNING"
    REPORT = "REPORT"
    ORCHESTRATING = "ORCHESTRATING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    TIMEOUT = "TIMEOUT"
    CONSENSUS_FAILED = "CONSENSUS_FAILED"
    ORCHESTRATION_FAILED = "ORCHESTRATION_FAILED"
    ORCHESTRATION_ERROR = "ORCHESTRATION_ERROR"
    STOPPED = "STOPPED"
    ABORTED = "ABORTED"
    REBOOTING = "REBOOTING"

class StageType(_Text):
    AGENT = "agent"
    GATE = "gate"
    PARALLEL = "parallel"
    CONDITION = "condition"

class StageStatus(_Text):
    PENDING = "pending"
    RUNNING = "running"
    WAITING_APPROVAL = "waiting_approval"
    COMPLETED = "completed"
    FAILED = "failed"
    SKIPPED = "skipped"
    TIMED_OUT = "timed_out"

class Tier(_Text):
    T0 = "T0"
    T1 = "T1"
    T2 = "T2"
    T3 = "T3"
    T4 = "T4"

class Capability(_Text):
    READ_INVENTORY = "read_inventory"
    READ_DOCUMENTATION = "read_documentation"
    GENERATE_PLANS = "generate_plans"
    EXECUTE_COMMANDS = "execute_commands"
    MODIFY_FILES = "modify_files"
    ACCESS_SECRETS = "access_secrets"
    SSH_ACCESS = "ssh_access"
    API_ACCESS = "api_access"

class PromotionStatus(_Text):
    ELIGIBLE = "eligible"
    NOT_ELIGIBLE = "not_eligible"
    PENDING_REVIEW = "pending_review"
    APPROVED = "approved"
    REJECTED = "rejected"

class Severity(_Text):
    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"

class ViolationType(_Text):
    UNAUTHORIZED_SECRET_ACCESS = "unauthorized_secret_access"
    FORBIDDEN_TARGET_ACCESS = "forbidden_target_access"
    GOVERNANCE_TAMPERING = "governance_tampering"
    PRIVILEGE_ESCALATION = "privilege_escalation"
    FORBIDDEN_ACTION = "forbidden_action"
    PATH_OUT_OF_SCOPE = "path_out_of_scope"
    PREFLIGHT_BYPASS = "preflight_bypass"
    APPROVAL_BYPASS = "approval_bypass"
    LOCK_LOST = "lock_lost"
    ERROR_BUDGET_EXCEEDED = "error_budget_exceeded"
    PROCEDURE_VIOLATION = "procedure_violation"
    RESOURCE_ABUSE = "resource_abuse"
    HEARTBEAT_LOST = "heartbeat_lost"
    EVIDENCE_MISSING = "evidence_missing"

class RevocationType(_Text):
    ERROR_BUDGET = "error_budget"
    PROCEDURE = "procedure"
    LOCK = "lock"
    HEARTBEAT = "heartbeat"
    POLICY = "policy"
    MANUAL = "manual"

class IntegrationEventType(_Text):
    PLAN_CREATED = "plan_created"
    EXECUTION_STARTED = "execution_started"
    EXECUTION_COMPLETE = "execution_complete"
    VIOLATION_DETECTED = "violation_detected"
    PROMOTION_REQUESTED = "promotion_requested"
    PROMOTION_APPROVED = "promotion_approved"
    AGENT_REVOKED = "agent_revoked"
    APPROVAL_REQUIRED = "approval_required"
    HEARTBEAT = "heartbeat"

class ChaosCondition(_Text):
    LOCK_LOSS = "lock_loss"
    ERROR_SPIKE = "error_spike"
    HEARTBEAT_LOSS = "heartbeat_loss"
    LATENCY = "latency"
    STORE_UNAVAILABLE = "store_unavailable"
    STATE_CORRUPTION = "state_corruption"
    TOKEN_REVOKED = "token_revoked"
    PROCEDURE_BREACH = "procedure_breach"
    PROCESS_KILL = "process_kill"

class FallbackAction(_Text):
    RERUN_SAME = "rerun_same"
    RERUN_GAMMA = "rerun_gamma"
    ESCALATE_TIER = "escalate_tier"
    ACCEPT_PARTIAL = "accept_partial"
    DOWNLOAD_LOG = "download_log"

class GammaReason(_Text):
    STUCK = "STUCK"
    CONFLICT = "CONFLICT"
    COMPLEXITY = "COMPLEXITY"

class Section(_Text):
    PROBLEM = "problem"
    SOLUTIONS = "solutions"
    PROGRESS = "progress"
    CONSENSUS = "consensus"
ViolationSeverity = Severity

AGENT_PHASE_NAMES: Final[tuple[str, ...]]
AGENT_PHASES_ORDERED: Final[tuple[AgentPhase, ...]]
PHASE_OUTPUT_TYPES: Final[MappingProxyType[AgentPhase, Optional[OutputType]]]
VIOLATION_SEVERITY_MAP: Final[MappingProxyType[ViolationType, Severity]]
INTEGRATION_EVENT_PHASE_MAP: Final[MappingProxyType[IntegrationEventType, Optional[AgentPhase]]]
DEFAULT_REDIS_HOST: Final[str]
DEFAULT_REDIS_PORT: Final[int]
DEFAULT_LEDGER_PATH: Final[str]

def _run(words: list[str], program: Optional[str]) -> int:
    """Runs the command line with these words. Answers its exit code."""

def get_output_type_for_phase(phase: str) -> Optional[OutputType]:
    """The class of output that a phase yields; none for REVOKED."""

def is_terminal_phase(phase: str) -> bool:
    """Whether nothing follows this phase."""

def next_phase(phase: str) -> Optional[AgentPhase]:
    """The phase after this one; none after EXIT and REVOKED."""

@final
class RedisKeys:
    """The spelling of the default tenant's keys."""

    @staticmethod
    def agent_state(agent_id: str) -> str: ...
    @staticmethod
    def agent_lock(agent_id: str) -> str: ...
    @staticmethod
    def project_agents(project_id: str) -> str: ...

class GovernanceError(Exception):
    """Something failed; its subclass says what the caller can do."""

    kind: Optional[str]
    code: Optional[str]
    details: dict[str, Any]

class InvalidError(GovernanceError):
    """The input is wrong: mend it."""

class NotFoundError(GovernanceError):
    """The thing named does not exist."""

class ConflictError(GovernanceError):
    """Somebody else was first: read again and decide again."""

class DeniedError(GovernanceError):
    """A rule forbids it."""

class RevokedError(GovernanceError):
    """The actor's admission has ended; it must stop."""

class ExhaustedError(GovernanceError):
    """A budget, a quota or a mailbox is full: wait or ask for more."""

class UnavailableError(GovernanceError):
    """A part cannot be reached now: try again later."""

class DeadlineError(GovernanceError):
    """Time ran out; the outcome may be unknown."""

class CorruptError(GovernanceError):
    """Stored data is not what was written: a person must look."""

class InternalError(GovernanceError):
    """A defect of this library."""

@final
class Delivery:
    """A message out for processing. Acknowledge it, or it comes again."""

    @property
    def message(self) -> BusMessage:
        """The message."""

    @property
    def attempt(self) -> int:
        """1 the first time."""

@final
class Reservation:
    """An amount that was set aside. Settle it; what is not settled in time lapses."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def unit(self) -> str:
        """Of what: calls, tokens, cost (millionths of a dollar) or concurrency."""

    @property
    def amount(self) -> int:
        """How much."""

    @property
    def low(self) -> bool:
        """Whether 80 % of the limit are used or reserved."""

@final
class Head:
    """What the ledger was at some size, signed. Whoever keeps one elsewhere can prove that nothing before it was changed."""

    @property
    def ledger(self) -> str:
        """The ledger."""

    @property
    def size(self) -> int:
        """How many entries."""

    @property
    def root(self) -> str:
        """The root of the RFC 9162 tree over them, in hex."""

    @property
    def at(self) -> datetime:
        """When it was signed, in UTC."""

    @property
    def key(self) -> str:
        """The id of the key."""

    @property
    def signature(self) -> str:
        """The Ed25519 signature, in hex."""

    def line(self) -> str:
        """One line of JSON, as `governance ledger head` prints it: what to keep elsewhere."""

@final
class _Desk:
    """The desk of one event loop, in one process."""

    def __new__(cls) -> Self: ...
    def fileno(self) -> int:
        """What tells the loop that there is something to collect."""

    def is_ours(self) -> bool:
        """Whether it was made in this process: a child has none of its parent's threads."""

    def collect(self) -> list[Future[None]]:
        """The futures whose calls are answered."""

@final
class _Check:
    """A check of a preflight that is made in Python."""

    @property
    def name(self) -> str:
        """Its name."""

    def tell(self, why: Optional[str]) -> None:
        """What it found: nothing, or why it fails. Only the first word counts, and only in time."""
