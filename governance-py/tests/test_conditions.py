"""Conditions that the command line put in force are in force here: what a call is given, of which risks, in which phase."""

import asyncio
from pathlib import Path
from typing import Callable

import pytest

import governance
from governance import blocking

PROFILE = """
agent_id: buyer
agent_version: "1"
tier: T1
constraints:
  allowed_actions: [buy, refund, drop_table]
conditions: |
  permit (principal, action, resource);

  @id("limit") @reason("at most 100 can be spent, and the amount must be said") @violation("none")
  forbid (principal, action == Action::"buy", resource)
  unless { context.numbers.hasTag("amount") && context.numbers.getTag("amount") <= 100 };

  @id("executing") @reason("refunds are for EXECUTE") @violation("none")
  forbid (principal, action == Action::"refund", resource)
  unless { principal.phase == "EXECUTE" };

  @id("for-good") @decision("step_up") @reason("this cannot be undone")
  forbid (principal, action, resource)
  when { context.risks.contains("irreversible") };
"""


@pytest.fixture
def applied(home: Path, tmp_path: Path, cli: Callable[..., str]) -> None:
    (tmp_path / "buyer.yaml").write_text(PROFILE)
    cli("policy", "apply", str(tmp_path / "buyer.yaml"))


def buy(amount: object, to: str = "ann") -> object:
    return amount


def test_an_argument_is_held_to_what_the_command_line_put_in_force(home: Path, applied: None) -> None:
    with blocking.Governance.open(home=home) as gov:
        with gov.agent("buyer", gov.begin("buy something"), role="alpha", tier="T1") as agent:
            tool = agent.govern(buy, action="buy")
            assert (tool(100), tool(amount=1)) == (100, 1)
            for refused, why in ((101, "`limit` of the profile `buyer`: at most 100"), ("1", "the argument `amount` cannot be read"), ([1], "`amount`")):
                with pytest.raises(governance.DeniedError, match=why) as denied:
                    tool(refused)
                assert denied.value.code == "not_allowed" and denied.value.details["decision"]["violation"] is None
            tool(2)


def test_a_risk_needs_a_person_and_is_recorded(home: Path, applied: None) -> None:
    with blocking.Governance.open(home=home) as gov:
        with gov.agent("buyer", gov.begin("tidy up"), role="alpha", tier="T1") as agent:
            agent.govern(lambda: None, action="drop_table")()
            agent.govern(lambda: None, action="drop_table", risks=["costly"])()
            with pytest.raises(governance.DeniedError, match="`for-good`.*cannot be undone") as denied:
                agent.govern(lambda: None, action="drop_table", risks=("costly", "irreversible"))()
            assert denied.value.code == "approval_required" and "approval" in denied.value.details
            assert gov.catch_up(10)
            told = [entry.payload for entry in gov.ledger.list(agent=agent.id, action="tool_call").actions]
            assert '"risks":["costly"]' in told[2] and any('"risks":["costly","irreversible"]' in payload for payload in told)
        with pytest.raises(TypeError, match="risk"):
            agent.govern(lambda: None, action="drop_table", risk=["irreversible"])  # type: ignore[call-overload]  # a misspelt one would mean nothing


def test_where_an_agent_is_in_its_life_counts(home: Path, applied: None) -> None:
    async def main() -> None:
        async with governance.Governance.open(home=home) as gov:
            async with gov.agent("buyer", await gov.begin("give back"), role="alpha", tier="T1") as agent:

                @agent.govern(action="refund")
                async def refund() -> str:
                    return "done"

                with pytest.raises(governance.DeniedError, match="`executing`.*refunds are for EXECUTE"):
                    await refund()
                for phase in ("PLAN", "EXECUTE"):
                    await agent.enter(phase)
                assert await refund() == "done"
                await agent.enter("VERIFY")
                with pytest.raises(governance.DeniedError, match="`executing`"):
                    await refund()

    asyncio.run(main())
