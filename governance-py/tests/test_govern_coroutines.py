"""A governed coroutine is governed to its end, and dropped where it stands."""

import asyncio
import contextlib
import inspect
import threading
from pathlib import Path

import pytest

import governance
from governance import govern
from searching import Opened, run, runs


def test_a_coroutine_is_governed_to_its_end(searcher: Opened) -> None:
    running = threading.Event()

    async def say(query: str) -> str:
        if query == "fails":
            raise ValueError(query)
        if query == "hangs":
            running.set()
        await asyncio.sleep(20 if query == "hangs" else 0.2 if query == "slow" else 0)
        return query

    fetch, hasty = govern(say, action="web.search", timeout=10), govern(say, action="web.search", timeout=0.3)

    async def main() -> None:
        assert inspect.iscoroutinefunction(fetch)
        assert [await fetch(query) for query in ("cats", "slow")] == ["cats", "slow"]
        with pytest.raises(ValueError):
            await fetch("fails")
        with pytest.raises(governance.DeadlineError):
            await hasty("hangs")
        running.clear()
        task = asyncio.ensure_future(fetch("hangs"))
        await runs(running)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(searcher, main)
    ends = [("ok", None), ("ok", None), ("error", "ValueError"), ("unknown", "tool_timed_out"), ("unknown", "cancelled")]
    assert searcher.ends() == ends


def test_a_coroutine_that_ignores_its_cancellation_keeps_nobody(searcher: Opened) -> None:
    over = threading.Event()

    @govern(action="web.search", timeout=0.15)
    async def stubborn() -> str:
        while not over.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)
        return "at last"

    async def main() -> None:
        with pytest.raises(governance.DeadlineError):
            await asyncio.wait_for(stubborn(), 20)
        over.set()

    run(searcher, main)
    assert searcher.ends() == [("unknown", "tool_timed_out")]


def test_a_coroutine_whose_agent_is_revoked_is_dropped(searcher: Opened) -> None:
    running = threading.Event()

    @govern(action="web.search")
    async def hangs() -> None:
        running.set()
        await asyncio.sleep(60)

    async def main() -> None:
        task = asyncio.ensure_future(hangs())
        await runs(running)
        await asyncio.to_thread(searcher.gov.revocations.revoke, searcher.agent.id, "manual", "a drill")
        with pytest.raises(governance.RevokedError):
            await task

    run(searcher, main)
    assert searcher.ends() == [("unknown", "revoked")]


def test_what_answers_a_coroutine_is_governed_until_it_was_awaited(searcher: Opened) -> None:
    async def fetch(query: str) -> str:
        raise ValueError(query)

    async def main() -> None:
        answered = govern(lambda query: fetch(query), action="web.search")("cats")
        with pytest.raises(ValueError):
            await answered

    run(searcher, main)
    assert searcher.ends() == [("error", "ValueError")]


def test_an_agent_of_asyncio_governs_both_kinds(home: Path) -> None:
    @govern(action="read_file")
    def look(name: str) -> str:
        return name

    @govern(action="write_file", target="sandbox-1")
    async def write(text: str) -> str:
        return text

    async def main() -> None:
        async with governance.Governance.open(home=home) as gov:
            pipeline = await gov.begin("o")
            async with gov.agent("alpha", pipeline, tier="T1") as alpha:
                assert (look("a"), await write("b")) == ("a", "b")
                assert list(await asyncio.gather(write("c"), asyncio.to_thread(look, "d"))) == ["c", "d"]
                with pytest.raises(governance.DeniedError) as denied:
                    await alpha.govern(write, action="delete_production")("x")
                assert denied.value.code == "not_allowed"

    asyncio.run(main())
