"""Never run: what type checkers must know of the calls. Each `assert_type` fails where a stub says something else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import IO, Optional, Union

from typing_extensions import assert_type

from governance import (
    AgentEvent,
    BoardEntry,
    BoardEvent,
    Cast,
    Delivery,
    Gap,
    Governance,
    GovernanceError,
    Reservation,
    Spend,
    Step,
    Written,
    blocking,
    govern,
)


@govern(action="web.search", timeout=2.5)
async def fetch(query: str, limit: int = 10) -> list[str]:
    return [query] * limit


@govern(action="read_file", path_from="file", opened="rb")
def read(file: IO[bytes]) -> bytes:
    return file.read()


def governed() -> None:
    def pages(count: int) -> Iterator[int]:
        yield from range(count)

    assert_type(govern(pages, action="web.search")(3), Iterator[int])
    # Whoever calls it names the file.
    assert_type(read("notes/a.md"), bytes)


async def awaited() -> None:
    async with Governance.open(home="x") as governance:
        board = await governance.blackboard("t", "ann")
        assert_type(await board.post("solutions", "a", {"x": [1, None]}), int)
        assert_type(await board.put_if("solutions", "a", 1, 1), Written)
        assert_type(await board.entry("solutions", "a"), Optional[BoardEntry])
        assert_type(board.events(), AsyncIterator[Union[BoardEvent, Gap]])
        written = await asyncio.create_task(board.put_if("solutions", "a", 1, 1))
        assert_type(written.accepted, Optional[int])
        budget = await governance.budget("ann")
        assert_type(await budget.reserve("calls", 1, 2.5), Union[Reservation, Spend])
        async with budget.allowance("calls", 8, 60) as allowance:
            assert_type(allowance.try_draw(1), bool)
        pipeline = await governance.begin("an objective")
        async with governance.agent("alpha", pipeline, tier="T1", root="work") as agent:
            assert_type(await fetch("cats", limit=3), list[str])
            assert_type(await agent.govern(fetch, action="web.search")("cats"), list[str])
            assert_type(await agent.next_step(), Optional[Step])
            assert_type(await agent.vote("p", {"one": "a"}), Cast)
            async for event in agent.events():
                assert_type(event, AgentEvent)
            async for step in agent.steps():
                async with step:
                    agent.check()


def waited() -> None:
    with blocking.Governance.open() as governance:
        board = governance.blackboard("t", "ann")
        assert_type(board.post("solutions", "a", {"x": [1, None]}), int)
        assert_type(board.events(), Iterator[Union[BoardEvent, Gap]])
        bus = governance.bus("t", "ann")
        assert_type(bus.receive(within=1), Optional[Delivery])
        try:
            governance.catch_up(1)
        except GovernanceError as error:
            assert_type(error.code, Optional[str])
