import json
import pickle

import pytest

import governance
from governance import AgentPhase, IntegrationEventType, OutputType, RedisKeys, Severity, ViolationType, _governance


def test_everything_in_the_core_is_exported() -> None:
    native = {name for name in dir(_governance) if not name.startswith("_")}
    assert native <= set(governance.__all__)


def test_the_vocabulary_says_what_existing_agents_rely_on() -> None:
    assert governance.AGENT_PHASE_NAMES[-1] == "REVOKED" and len(governance.AGENT_PHASE_NAMES) == 9
    assert governance.AGENT_PHASES_ORDERED[0] is AgentPhase.BOOTSTRAP and len(governance.AGENT_PHASES_ORDERED) == 8
    assert governance.PHASE_OUTPUT_TYPES[AgentPhase.PLAN] is OutputType.BETA
    assert governance.PHASE_OUTPUT_TYPES[AgentPhase.REVOKED] is None
    assert governance.VIOLATION_SEVERITY_MAP[ViolationType.LOCK_LOST] is Severity.HIGH
    assert governance.ViolationSeverity is Severity
    assert governance.INTEGRATION_EVENT_PHASE_MAP[IntegrationEventType.PLAN_CREATED] is AgentPhase.PLAN
    assert governance.INTEGRATION_EVENT_PHASE_MAP[IntegrationEventType.HEARTBEAT] is None
    assert governance.get_output_type_for_phase("PACKAGE") is OutputType.GAMMA
    assert governance.get_output_type_for_phase(AgentPhase.REVOKED) is None
    assert governance.is_terminal_phase(AgentPhase.EXIT) and not governance.is_terminal_phase("REPORT")
    assert governance.next_phase("VERIFY") is AgentPhase.PACKAGE
    assert governance.next_phase("EXIT") is None
    assert RedisKeys.agent_state("alpha-1") == "agent:alpha-1:state"
    assert RedisKeys.agent_lock("alpha-1") == "agent:alpha-1:lock"
    assert RedisKeys.project_agents("p") == "project:p:agents"
    assert (governance.DEFAULT_REDIS_HOST, governance.DEFAULT_REDIS_PORT) == ("127.0.0.1", 6379)
    assert governance.DEFAULT_LEDGER_PATH == "governance.db"


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(governance.InvalidError, match="`LUNCH`"):
        governance.next_phase("LUNCH")
    with pytest.raises(governance.InvalidError):
        RedisKeys.agent_state("a:b")


def test_a_value_is_a_text_too_and_survives_pickling() -> None:
    assert AgentPhase.PLAN == "PLAN" and AgentPhase("PLAN") is AgentPhase.PLAN
    assert json.dumps(AgentPhase.PLAN) == '"PLAN"'
    assert pickle.loads(pickle.dumps(AgentPhase.PLAN)) is AgentPhase.PLAN


def test_the_maps_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        governance.VIOLATION_SEVERITY_MAP[ViolationType.LOCK_LOST] = Severity.LOW  # type: ignore[index]
