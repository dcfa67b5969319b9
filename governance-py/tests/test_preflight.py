"""Checks that are made in Python: what they answer, how long they may take, and that nobody waits for one that is late."""

import asyncio
import contextvars
import threading
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

import governance
from governance import blocking

PROFILE = """
agent_id: careful
agent_version: "1"
tier: T1
constraints:
  allowed_actions: [write_file]
governance:
  preflight_required: true
  preflight_checks: [network]
"""


def odd() -> bool:
    raise OSError("unplugged")


def reasons(report: governance.PreflightReport) -> dict[str, Any]:
    return {check.name: check.reason for check in report.checks[5:]}


ANSWERS: dict[str, Any] = {
    "nothing": lambda: None,
    "yes": lambda: True,
    "no": lambda: False,
    "why": lambda: "no inventory is mounted",
    "raises": odd,
    "strange": lambda: 0,
    "half": lambda: "no \udcff",
}
REASONS = {
    "nothing": None,
    "yes": None,
    "no": "the check answered False",
    "why": "no inventory is mounted",
    "raises": "OSError: unplugged",
    "strange": "the check answered 0",
    "half": "no \\udcff",
}


def test_a_check_passes_that_answers_nothing_or_true(home: Path) -> None:
    with blocking.Governance.open(home=home) as gov, gov.agent("alpha", gov.begin("o")) as agent:
        report = agent.preflight(ANSWERS)
        assert not report and [bool(check) for check in report.checks[5:]] == [True, True, False, False, False, False, False]
        assert reasons(report) == REASONS and report.agent_id == agent.id
        assert gov.agent_record(agent.id).preflight == report
        assert agent.preflight({}) and all(0 <= check.took < 10 for check in report.checks)
        for wrong in ({"x": None}, {"x": 5}, {"x": {"sandbix": "/"}}, {"x" * 300: lambda: None}):
            with pytest.raises(governance.InvalidError) as refused:
                agent.preflight(wrong)  # type: ignore[arg-type]
            assert refused.value.code in ("wrong_shape", "bad_check")


def test_coroutines_run_on_the_loop_and_functions_beside_it(home: Path) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who")

    async def main() -> None:
        who.set("main")
        ran: dict[str, tuple[int, str]] = {}

        async def awaits() -> None:
            await asyncio.sleep(0)
            ran["awaits"] = threading.get_ident(), who.get()

        def waits() -> None:
            time.sleep(0.01)
            ran["waits"] = threading.get_ident(), who.get()

        async def raises() -> None:
            raise LookupError("nowhere")

        async with governance.Governance.open(home=home) as gov:
            async with gov.agent("alpha", await gov.begin("o")) as agent:
                report = await agent.preflight({**ANSWERS, "awaits": awaits, "waits": waits, "raises": raises, "lazy": lambda: awaits()})
                assert reasons(report) == {**REASONS, "awaits": None, "waits": None, "raises": "LookupError: nowhere", "lazy": None}
                assert ran["waits"][0] != threading.get_ident() and {name for _, name in ran.values()} == {"main"}

    asyncio.run(main())


def test_what_is_late_has_failed_and_nobody_waits_for_it(home: Path) -> None:
    held, cancelled = threading.Event(), []

    async def sleeps() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        async with governance.Governance.open(home=home) as gov:
            async with gov.agent("alpha", await gov.begin("o")) as agent:
                begun = time.monotonic()
                report = await agent.preflight({"sleeps": sleeps, "holds": held.wait, "fine": lambda: None}, within=1)
                assert time.monotonic() - begun < 20 and [check.passed for check in report.checks[5:]] == [False, False, True]
                late = report.checks[5].reason
                assert late == "the check took longer than 1000 ms" and report.checks[5].took >= 1 and cancelled == [True]
                before = (await gov.agent_record(agent.id)).preflight
                under = asyncio.ensure_future(agent.preflight({"sleeps": sleeps}))
                await asyncio.sleep(0.1)
                under.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await under
                assert (await gov.agent_record(agent.id)).preflight == before, "given up, it comes to nothing"

    asyncio.run(main())
    held.set()
    with blocking.Governance.open(home=home) as gov, gov.agent("beta", gov.begin("o")) as agent:
        assert not agent.preflight({"sleeps": lambda: sleeps()}, within=0.1)


def test_nothing_is_changed_before_the_checks_of_the_profile_have_passed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "careful.yaml").write_text(PROFILE)
    with blocking.Governance.open(home=home) as gov:
        with gov.agent(tmp_path / "careful.yaml", gov.begin("o"), role="alpha") as agent:
            report = agent.preflight({})
            assert report.checks[-1].name == "network" and report.checks[-1].reason == "the profile asks for this check, and nobody made it"
            assert agent.preflight({"network": {"command": ["true"]}})
            assert agent.govern(lambda: 1, action="write_file")() == 1
            agent.preflight({"network": lambda: "down"})
            with pytest.raises(governance.DeniedError, match="asks for a preflight, which has not passed"):
                agent.govern(lambda: 1, action="write_file")()


def test_nothing_is_done_after_the_deadline_of_an_instruction(home: Path) -> None:
    with blocking.Governance.open(home=home) as gov, gov.agent("alpha", gov.begin("look")) as agent:
        tool = agent.govern(lambda: 1, action="read_file")
        assert tool() == 1
        over = datetime.fromtimestamp(1, timezone.utc)
        packet = gov.instruct(agent.id, constraints=["be quick"], deadline=over, evidence_required=["tests"])
        assert packet.constraints[0] == "be quick" and packet == agent.packet() and packet.deadline == over
        with pytest.raises(governance.DeniedError, match="time was over"):
            tool()
        gov.instruct(agent.id)
        assert agent.packet() is not None and tool() == 1
        with pytest.raises(governance.InvalidError) as zoneless:
            gov.instruct(agent.id, deadline=datetime(2100, 1, 1))
        assert zoneless.value.code == "invalid_time"
