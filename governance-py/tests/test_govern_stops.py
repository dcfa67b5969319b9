"""Who is revoked gets nothing more out of its tools, and a stop is confirmed when nothing of it runs."""

import asyncio
import contextlib
import threading
import time
from typing import Any, Callable

import pytest

import governance
from governance import blocking, govern
from searching import Opened, runs, unfinished


def heard_of(agent: blocking.Agent) -> None:
    """Waits until this process knows that an agent is revoked."""
    deadline = time.monotonic() + 10
    with contextlib.suppress(governance.RevokedError):
        while time.monotonic() < deadline:
            agent.check()
            time.sleep(0.005)
        raise AssertionError("nobody heard of it")


def test_what_a_function_answers_is_withheld_once_its_agent_is_revoked(searcher: Opened) -> None:
    def late() -> str:
        searcher.gov.revocations.revoke(searcher.agent.id, "manual", "a drill")
        heard_of(searcher.agent)
        return "a secret"

    with pytest.raises(governance.RevokedError):
        govern(late, action="web.search")()
    assert searcher.ends() == [("unknown", "revoked")]


def test_a_function_on_a_thread_of_its_own_is_left_there_once_its_agent_is_revoked(searcher: Opened) -> None:
    running, go_on, over = threading.Event(), threading.Event(), threading.Event()

    @govern(action="web.search", timeout=60)
    def deaf() -> str:
        running.set()
        go_on.wait(40)
        over.set()
        return "a secret"

    stops: list[int] = []

    def stop() -> None:
        running.wait(20)
        stops.append(searcher.gov.revocations.stop_all("a drill").generation)

    threading.Thread(target=stop).start()
    with pytest.raises(governance.RevokedError):
        deaf()
    assert not over.is_set(), "nobody waited for it"
    assert searcher.ends() == [("unknown", "revoked")]
    deadline = time.monotonic() + 10
    while not stops:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert unfinished(searcher, stops[0]) == "a tool", "it is one tool, and it runs"
    go_on.set()
    (receipt,) = searcher.gov.revocations.confirmed(stops[0], 30).receipts
    assert receipt.state == "confirmed" and over.is_set()


def hear_nothing_of(tool: Callable[[], Any]) -> Callable[[], None]:
    def hear_nothing() -> None:
        # What it answers is nobody's by then.
        with pytest.raises(governance.RevokedError):
            tool()

    return hear_nothing


def test_no_stop_is_confirmed_while_a_tool_runs(searcher: Opened) -> None:
    go_on = threading.Event()
    running: list[str] = []

    def deaf() -> None:
        running.append("deaf")
        go_on.wait(60)

    async def deaf_too() -> None:
        running.append("deaf, too")
        while not go_on.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    left = govern(deaf, action="web.search", timeout=0.05)
    with pytest.raises(governance.DeadlineError):
        left()
    own = searcher.agent.govern(deaf, action="web.search")
    runs = threading.Thread(target=hear_nothing_of(own))
    runs.start()
    on_its_own = threading.Thread(target=hear_nothing_of(searcher.agent.govern(deaf, action="web.search", timeout=60)))
    on_its_own.start()

    async def give_up() -> None:
        task = asyncio.ensure_future(searcher.agent.govern(deaf_too, action="web.search")())
        while "deaf, too" not in running:
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    waits = threading.Thread(target=lambda: asyncio.run(give_up()))
    waits.start()
    deadline = time.monotonic() + 20
    while len(running) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    stop = searcher.gov.revocations.stop_all("a drill")
    assert unfinished(searcher, stop.generation) == "4 tools"
    go_on.set()
    runs.join()
    on_its_own.join()
    waits.join()
    (receipt,) = searcher.gov.revocations.confirmed(stop.generation, 30).receipts
    assert receipt.state == "confirmed"
