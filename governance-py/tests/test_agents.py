import asyncio
from pathlib import Path

import pytest

import governance
from governance import Governance, blocking


def test_two_agents_propose_talk_and_vote(home: Path) -> None:
    async def main() -> None:
        async with Governance.open(home=home) as gov:
            pipeline = await gov.begin("Design a caching strategy")
            async with gov.agent("alpha", pipeline) as alpha, gov.agent("beta", pipeline, tier="T1") as beta:
                assert alpha.id.startswith("alpha-") and alpha.role is governance.AgentRole.ALPHA and beta.tier is governance.Tier.T1
                assert (alpha.pipeline, alpha.objective, alpha.tries) == (pipeline, "Design a caching strategy", 1)
                for agent in (alpha, beta):
                    await agent.enter("PLAN")
                    await agent.propose()
                await alpha.enter("EXECUTE")
                # T1 carries out only what people approved.
                await beta.output({"steps": ["combine"]})
                for waiting in (None, 0.05):
                    with pytest.raises(governance.DeniedError) as asked:
                        await beta.enter("EXECUTE", waiting=waiting)
                    assert asked.value.code == "approval_required" and asked.value.details["approval"]["kind"] == "plan"
                assert await alpha.phase() is governance.AgentPhase.EXECUTE
                await alpha.bus.send(beta.id, {"look": "at mine"})
                step = await beta.next_step()
                assert step is not None and step.stage == "message" and step.message is not None
                assert step.message.body == {"look": "at mine"}
                await step.done()
                with pytest.raises(governance.ConflictError) as twice:
                    await step.done()
                assert twice.value.code == "step_reported"
                assert await beta.combine() is not None
                options = [proposed.name for proposed in await alpha.proposals()]
                voters = [(agent.id, 1) for agent in (alpha, beta)]
                await alpha.consensus.propose("which", "which?", options, voters, 10, rule="plurality")
                await alpha.vote_best("which")
                await beta.vote_best("which")
                assert (await alpha.consensus.outcome("which")).counts
                await alpha.hand_in()

    asyncio.run(main())


def test_a_step_reports_by_itself_what_became_of_it(home: Path) -> None:
    async def main() -> None:
        async with Governance.open(home=home) as gov:
            pipeline = await gov.begin("o")
            async with gov.agent("alpha", pipeline) as alpha, gov.agent("beta", pipeline) as beta:
                for body in ("fine", "odd", "held"):
                    await alpha.bus.send(beta.id, body)
                seen = []
                async for step in beta.steps():
                    async with step:
                        assert step.message is not None
                        seen.append(step.message.body)
                        if seen[-1] == "odd":
                            raise ValueError("too odd")
                        if seen[-1] == "held":
                            await step.failed("held_back", "on purpose")
                            break
                assert seen == ["fine", "odd", "held"]
                assert set((await beta.budget.faults()).by_fingerprint) == {"valueerror:too odd", "held_back:on purpose"}

    asyncio.run(main())


def test_a_revocation_is_heard_of(home: Path) -> None:
    async def main() -> None:
        async with Governance.open(home=home) as gov:
            pipeline = await gov.begin("o")
            async with gov.agent("alpha", pipeline) as alpha:
                alpha.check()
                stepping = asyncio.ensure_future(alpha.next_step())
                await gov.revocations.revoke(alpha.id, "manual", "a drill")
                event = await asyncio.wait_for(alpha.next_event(), 10)
                assert event is not None and event.event == "revoked" and "a drill" in (event.reason or "")
                assert [event async for event in alpha.events()] == []
                with pytest.raises(governance.RevokedError):
                    alpha.check()
                with pytest.raises(governance.RevokedError):
                    await asyncio.wait_for(stepping, 10)

    asyncio.run(main())


def test_an_agent_asks_its_model_within_its_budget(home: Path) -> None:
    with blocking.Governance.open(home=home) as gov:
        pipeline = gov.begin("Design a caching strategy")
        with gov.agent("mediator", pipeline, role="gamma") as gamma:
            assert gamma.model.name == "local" and not gamma.model.is_open()
            reply = gamma.model.chat([{"role": "user", "content": "What did we forget?"}])
            assert reply.content and reply.charge.cost is None
            with pytest.raises(governance.InvalidError) as empty:
                gamma.model.chat([])
            assert empty.value.code == "empty_chat"
            usage = gamma.budget.usage("calls")
            assert usage is not None and usage.limit == 64
            with pytest.raises(governance.DeniedError) as own:
                gamma.budget.grant("calls", 1_000)
            assert own.value.code == "self_granted"


def test_a_local_share_is_drawn_without_waiting(home: Path) -> None:
    async def main() -> None:
        async with Governance.open(home=home) as gov:
            budget = await gov.budget("spender")
            await budget.grant("calls", 10)
            async with budget.allowance("calls", 4, 60) as allowance:
                assert not allowance.try_draw(1) and allowance.left() == 0
                assert await allowance.draw(1)
                assert allowance.left() == 3 and allowance.try_draw(3) and not allowance.try_draw(1)
            assert await budget.remaining("calls") == 6

    asyncio.run(main())
