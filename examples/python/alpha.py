"""ALPHA in Python: analyses the objective, proposes, judges, votes.

A run starts it and hands it its seat on standard input:

    pip install ./governance-py
    cargo governance run "Design a caching strategy" --agent "alpha=python3 examples/python/alpha.py"
"""

import asyncio
import sys
from pathlib import Path
from typing import Any

from governance import Agent, ConflictError, RevokedError, Step, govern

# The paths of its tools are below.
ROOT = Path.cwd()


# Decided by the profile of the agent's tier, and recorded: T0, observer, may read README.md, and little else. It is handed the open file.
@govern(action="read_file", path_from="file", opened="r")
def headline(*, file: Any) -> str:
    return str(next(file)).strip("# \n")


async def work(agent: Agent) -> None:
    await agent.enter("PLAN")
    analysis = await agent.analyse()
    if (ROOT / "README.md").exists():
        print(f"this is about {headline(file='README.md')}")
    try:
        await agent.blackboard.post("problem", "analysis", analysis)
    except ConflictError:
        pass  # It is there from before this process was started again.
    # Where the profile of its tier wants plans approved, people are asked about this one, and waited for.
    await agent.output({"objective": agent.objective, "steps": ["propose a solution", "verify it"]})
    await agent.enter("EXECUTE", waiting=3600)
    await agent.propose()
    await agent.bus.broadcast({"proposed": agent.id})
    await agent.hand_in()


async def take(agent: Agent, step: Step) -> None:
    if step.stage == "work":
        await work(agent)
    elif step.stage == "evaluate":
        await agent.evaluate()
    elif step.stage == "vote" and step.proposal:
        await agent.vote_best(step.proposal)
    elif step.message:
        print(f"{step.message.sender} says {step.message.body}")


async def main() -> None:
    async with Agent.seated(root=ROOT) as agent:
        print(f"{agent.id} thinks with {agent.model.name}")
        async for step in agent.steps():
            # Reports the step as done, or as failed with what was raised.
            async with step:
                await take(agent, step)


try:
    asyncio.run(main())
except RevokedError as error:
    sys.exit(f"revoked: {error}")
