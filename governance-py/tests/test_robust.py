"""Bad input, bad moments: a typed error or a clean end, never a crash, a hang or a lost write."""

import asyncio
import dataclasses
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydantic
import pytest

import governance
from governance import Governance, blocking

AT_WORK = """
import asyncio, random, sys, threading
from governance import Governance, blocking

how = sys.argv[2]

async def main():
    gov = await Governance.open(home=sys.argv[1], store="memory:")
    board, bus = await gov.blackboard("t", "a"), await gov.bus("t", "a")
    await bus.join()
    work = [asyncio.ensure_future(board.post("progress", f"e-{n}", n)) for n in range(40)]
    work += [asyncio.ensure_future(bus.receive()), asyncio.ensure_future(anext_of(board.events()))]
    await asyncio.sleep(random.random() / 100)
    if how == "exit":
        sys.exit(0)
    if how == "stop":
        asyncio.get_running_loop().stop()
        await asyncio.sleep(1)

async def anext_of(stream):
    async for _ in stream:
        pass

def looping():
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())

if how == "thread":
    threading.Thread(target=looping, daemon=True).start()
    import time; time.sleep(random.random() / 20)
elif how == "closed":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.close()
elif how == "stop":
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(main())
    except RuntimeError:
        pass
else:
    asyncio.run(main())
"""
HOWS = ["exit", "run", "thread", "closed", "stop"]


def end_at_work(home: Path, number: int) -> tuple[str, int, str]:
    how = HOWS[number % len(HOWS)]
    command = [sys.executable, "-c", AT_WORK, str(home / str(number)), how]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return how, done.returncode, "".join(line for line in done.stderr.splitlines(True) if "Task was destroyed" not in line and "task: <" not in line)


def test_two_hundred_interpreters_end_with_work_in_flight(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        ends = list(pool.map(lambda number: end_at_work(tmp_path, number), range(200)))
    assert [end for end in ends if end[1:] != (0, "")] == []


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def test_a_hundred_thousand_calls_leave_memory_flat(home: Path) -> None:
    async def awaited(calls: int) -> None:
        async with Governance.open(home=home / "async", store="memory:") as gov:
            board = await gov.blackboard("t", "a")
            await board.put_if("progress", "x", {"a": [1, 2, {"b": "c" * 100}]}, 0)
            for _ in range(calls):
                await board.entry("progress", "x")

    def waited(calls: int) -> None:
        with blocking.Governance.open(home=home / "blocking", store="memory:") as gov:
            board = gov.blackboard("t", "a")
            board.put_if("progress", "x", {"a": [1, 2, {"b": "c" * 100}]}, 0)
            for _ in range(calls):
                board.entry("progress", "x")

    asyncio.run(awaited(2_000))
    waited(2_000)
    before = rss()
    asyncio.run(awaited(50_000))
    waited(50_000)
    assert rss() - before < 8 << 20


def test_a_cancelled_call_is_dropped_and_no_acknowledged_write_is_lost(home: Path) -> None:
    async def main() -> None:
        async with Governance.open(home=home) as gov:
            board = await gov.blackboard("t", "a")
            written: list[int] = []

            async def write(number: int) -> None:
                await board.post("progress", f"e-{number}", number)
                written.append(number)

            tasks = [asyncio.create_task(write(number)) for number in range(200)]
            await asyncio.sleep(0.002)
            for task in tasks[::2]:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(end is None or isinstance(end, asyncio.CancelledError) for end in ends)
            found = {entry.content for entry in await board.entries("progress")}
            assert set(written) <= found and set(range(1, 200, 2)) <= found
            bus = await gov.bus("t", "a")
            await bus.join()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(bus.receive(), 0.05)
            await (await gov.bus("t", "b")).send("a", "still here")
            delivery = await asyncio.wait_for(bus.receive(), 5)
            assert delivery is not None and delivery.message.body == "still here"

    asyncio.run(main())


def test_a_stream_that_was_cancelled_goes_on_without_a_loss(home: Path) -> None:
    async def main() -> None:
        async with Governance.open(home=home, store="memory:") as gov:
            board = await gov.blackboard("t", "a")
            events = board.events()
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(events.__anext__(), 0.02)
            for number in range(50):
                await board.post("progress", f"e-{number}", number)
            seen = []
            async for event in events:
                assert isinstance(event, governance.BoardEvent)
                seen.append(event.position)
                if len(seen) == 50:
                    break
            assert seen == list(range(1, 51))

    asyncio.run(main())


def test_two_event_loops_share_a_handle(home: Path) -> None:
    with blocking.Governance.open(home=home):
        pass

    async def write(gov: Governance, name: str) -> None:
        board = await gov.blackboard("t", name)
        for number in range(50):
            await board.post("progress", f"{name}-{number}", number)

    async def main() -> None:
        async with Governance.open(home=home) as gov:
            other = threading.Thread(target=lambda: asyncio.run(write(gov, "other")))
            other.start()
            await write(gov, "own")
            await asyncio.get_running_loop().run_in_executor(None, other.join)
            assert len(await (await gov.blackboard("t", "r")).entries("progress")) == 100

    asyncio.run(main())


def test_a_closed_handle_says_so_and_what_waits_ends(home: Path) -> None:
    async def main() -> None:
        gov = await Governance.open(home=home)
        board, bus, ledger, stream = await gov.blackboard("t", "a"), await gov.bus("t", "a"), gov.ledger, None
        await bus.join()
        stream = board.events()
        waiting = asyncio.ensure_future(bus.receive())
        await asyncio.sleep(0.01)
        await gov.close()
        await gov.close()
        with pytest.raises(governance.InvalidError) as ended:
            await waiting
        assert ended.value.code == "closed"
        for late in (lambda: board.entries("progress"), lambda: bus.send("a", 1), lambda: ledger.head(), lambda: stream.__anext__(), lambda: gov.budget("a")):
            with pytest.raises(governance.InvalidError) as closed:
                await late()
            assert closed.value.code == "closed"
        with pytest.raises(governance.InvalidError):
            gov.store_url

    asyncio.run(main())


def test_a_thread_that_waits_ends_when_another_closes(home: Path) -> None:
    gov = blocking.Governance.open(home=home)
    bus = gov.bus("t", "a")
    bus.join()
    codes: list[Any] = []

    def wait() -> None:
        try:
            bus.receive()
        except governance.InvalidError as closed:
            codes.append(closed.code)

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.05)
    gov.close()
    thread.join(10)
    assert codes == ["closed"]


def test_a_call_without_an_event_loop_says_so(home: Path) -> None:
    with pytest.raises(governance.InvalidError) as nowhere:
        Governance.open(home=home).send(None)
    assert nowhere.value.code == "no_event_loop"


def test_a_coroutine_that_is_never_awaited_does_nothing(home: Path) -> None:
    Governance.open(home=home).close()
    assert not home.exists()


def test_handles_are_opened_not_made() -> None:
    for package in (governance, blocking):
        for name in blocking.__all__:
            with pytest.raises(TypeError):
                getattr(package, name)()


@dataclasses.dataclass
class Idea:
    title: str
    parts: list[str]


class Model(pydantic.BaseModel):
    title: str
    ideas: list[Idea]


def test_dataclasses_and_pydantic_models_are_contents(home: Path) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov:
        board = gov.blackboard("t", "a")
        board.post("solutions", "one", Idea("a", ["b"]))
        board.post("solutions", "two", {"deep": Model(title="m", ideas=[Idea("c", [])])})
        assert [entry.content for entry in board.entries("solutions")] == [
            {"title": "a", "parts": ["b"]},
            {"deep": {"title": "m", "ideas": [{"title": "c", "parts": []}]}},
        ]


def test_ten_megabytes_are_refused_and_nothing_is_written(home: Path) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov:
        board, bus = gov.blackboard("t", "a"), gov.bus("t", "a")
        bus.join()
        with pytest.raises(governance.InvalidError):
            board.post("solutions", "large", "x" * 10_000_000)
        with pytest.raises(governance.InvalidError) as large:
            bus.send("a", "x" * 10_000_000)
        assert large.value.code == "message_too_large"
        assert board.entries("solutions") == []


class Angry:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(f"no {name} here")


@pytest.mark.parametrize("content", [b"bytes", bytearray(b"x"), {1, 2}, Idea, 1j, object(), float("-inf"), {"a": -(2**63) - 1}, 1 << 9000], ids=lambda content: type(content).__name__)
def test_what_json_lacks_is_no_content(home: Path, content: Any) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov, pytest.raises(governance.InvalidError) as refused:
        gov.blackboard("t", "a").post("solutions", "odd", content)
    assert refused.value.code == "not_json"


def test_an_exception_of_the_callers_own_comes_through(home: Path) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov, pytest.raises(RuntimeError, match="here"):
        gov.blackboard("t", "a").post("solutions", "odd", Angry())


def test_leaving_never_hides_an_exception_of_the_callers_own(home: Path) -> None:
    for own in (ValueError("its own"), KeyboardInterrupt()):
        with pytest.raises(type(own)) as raised, governance.blocking.Governance.open(home=home) as gov:
            with gov.agent("alpha", gov.begin("o")):
                gov.close()
                raise own
        assert raised.value is own
    # A quiet leave: what was closed has let go of everything.
    with governance.blocking.Governance.open(home=home) as gov, gov.agent("alpha", gov.begin("o")):
        gov.close()


@pytest.mark.parametrize("version", [-1, 2**64, 1 << 9000], ids=lambda content: type(content).__name__)
def test_a_number_that_counts_nothing_is_refused(home: Path, version: int) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov, pytest.raises(governance.InvalidError) as refused:
        gov.blackboard("t", "a").put_if("solutions", "x", 1, version)
    assert refused.value.code == "not_whole"


@pytest.mark.parametrize("span", [-1, float("nan"), float("inf"), 1e300, timedelta(seconds=-1)])
def test_a_span_that_is_none_is_refused(home: Path, span: Any) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov, pytest.raises(governance.InvalidError) as refused:
        gov.catch_up(span)
    assert refused.value.code == "invalid_span"


@pytest.mark.parametrize("bad", [1, None, b"t", ["t"]])
def test_a_wrong_type_is_a_type_error(home: Path, bad: Any) -> None:
    with blocking.Governance.open(home=home, store="memory:") as gov:
        board = gov.blackboard("t", "a")
        for call in (lambda: board.entries(bad), lambda: board.entry("progress", bad), lambda: gov.blackboard(bad, "a")):
            with pytest.raises(TypeError):
                call()


def test_a_forked_child_is_refused_awaiting_too(home: Path) -> None:
    code = f"""
import asyncio, os, sys, governance
async def main():
    gov = await governance.Governance.open(home={str(home)!r}, store="memory:")
    board = await gov.blackboard("t", "a")
    begun = board.post("progress", "late", 1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            await begun
        except governance.InvalidError as refused:
            code = 0 if refused.code == "forked" else 2
        os._exit(code)
    await begun
    assert os.waitpid(child, 0)[1] == 0
    await gov.close()
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
