"""What a governed tool answers piece by piece is one call, from the first piece to the last."""

import asyncio
import contextlib
import functools
import inspect
import threading
import time
from typing import Any, AsyncIterator, Generator, Iterator

import pytest

import governance
from governance import govern
from searching import Opened, run, runs


def test_pieces_are_one_call_and_whoever_stops_asking_leaves_it_unknown(searcher: Opened) -> None:
    closed = []

    @govern(action="web.search")
    def pages(count: int) -> Iterator[int]:
        try:
            yield from range(count)
            if count > 3:
                raise ValueError("too many")
        finally:
            closed.append(count)

    assert inspect.isgeneratorfunction(pages) and list(pages(3)) == [0, 1, 2]
    with pytest.raises(ValueError):
        list(pages(4))
    with contextlib.closing(pages(3)) as some:
        assert next(some) == 0
    assert searcher.ends() == [("ok", None), ("error", "ValueError"), ("unknown", "cancelled")] and closed == [3, 4, 3]
    some = pages(3)
    next(some)
    searcher.gov.revocations.revoke(searcher.agent.id, "manual", "a drill")
    deadline = time.monotonic() + 10
    with pytest.raises(governance.RevokedError):
        for _ in endless(some, deadline):
            time.sleep(0.05)


def endless(some: Iterator[int], deadline: float) -> Iterator[int]:
    """Asks until a revocation was seen: within a second nobody need have."""
    yield next(some)
    yield next(some)
    while time.monotonic() < deadline:
        pieces = govern(lambda: iter(()), action="web.search")
        pieces()
        yield 0


def test_asynchronous_pieces_are_one_call(searcher: Opened) -> None:
    asked = []

    @govern(action="web.search", timeout=2)
    async def pages(count: int) -> AsyncIterator[int]:
        for number in range(count):
            asked.append(number)
            yield number
        if count == 4:
            raise ValueError("too many")
        if count == 5:
            await asyncio.sleep(60)

    async def all_of(count: int) -> list[int]:
        return [page async for page in pages(count)]

    async def main() -> None:
        assert inspect.isasyncgenfunction(pages) and await all_of(3) == [0, 1, 2]
        with pytest.raises(ValueError):
            await all_of(4)
        with pytest.raises(governance.DeadlineError):
            await all_of(5)
        asked.clear()
        async with contextlib.aclosing(pages(3)) as some:
            async for page in some:
                break
        assert asked == [0], "nothing is done that nobody asked for"

    run(searcher, main)
    assert searcher.ends() == [("ok", None), ("error", "ValueError"), ("unknown", "tool_timed_out"), ("unknown", "cancelled")]


def test_what_is_changed_before_the_first_piece_is_not_run(searcher: Opened) -> None:
    ran = []

    @govern(action="web.search")
    async def pages(query: dict[str, str]) -> AsyncIterator[str]:
        ran.append(query["text"])
        yield query["text"]

    async def story() -> None:
        assert [page async for page in pages({"text": "dogs"})] == ["dogs"]
        query = {"text": "cats"}
        searching = asyncio.ensure_future(pages(query).__anext__())
        await asyncio.sleep(0)
        query["text"] = "secrets"
        with pytest.raises(governance.DeniedError) as changed:
            await searching
        assert (changed.value.code, ran) == ("arguments_changed", ["dogs"])

    asyncio.run(story())
    assert searcher.ends() == [("ok", None), ("error", "arguments_changed")]


def test_a_generator_behind_a_function_is_governed_to_its_last_piece(searcher: Opened) -> None:
    ran = []

    def pages(last: int) -> Iterator[int]:
        for page in range(last):
            ran.append(page)
            yield page

    async def streams(last: int) -> AsyncIterator[int]:
        for page in range(last):
            ran.append(page)
            yield page

    answered = govern(lambda last: pages(last), action="web.search")(2)
    assert searcher.ends() == [], "none of it has run"
    assert (list(answered), searcher.ends()) == ([0, 1], [("ok", None)])
    ran.clear()
    sync, streamed = (govern(lambda last, of=of: of(last), action="web.search")(3) for of in (pages, streams))
    assert next(sync) == 0

    async def story() -> None:
        assert await streamed.__anext__() == 0
        searcher.gov.revocations.revoke(searcher.agent.id, "manual", "a drill")
        # This process hears of it within milliseconds; until then a piece may still come.
        with pytest.raises(governance.RevokedError):
            for _ in range(1_000):
                searcher.agent.check()
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        with pytest.raises(governance.RevokedError):
            await streamed.__anext__()

    asyncio.run(story())
    with pytest.raises(governance.RevokedError):
        next(sync)
    assert ran == [0, 0], "nothing of it ran after that"


def test_what_is_said_to_a_governed_generator_reaches_it(searcher: Opened) -> None:
    def talk(first: str) -> Generator[Any, Any, tuple[str, Any]]:
        heard: Any = yield first
        try:
            heard = yield ("heard", heard)
        except KeyError as error:
            heard = yield ("caught", error.args)
        return ("ended by", heard)

    talks: Any = govern(talk, action="web.search")
    pieces = talks("hello")
    assert [next(pieces), pieces.send(5), pieces.throw(KeyError("no"))] == ["hello", ("heard", 5), ("caught", ("no",))]
    with pytest.raises(StopIteration) as end:
        pieces.send("bye")
    assert end.value.value == ("ended by", "bye")
    behind: Any = govern(lambda: talk("behind"), action="web.search")()
    assert [next(behind), behind.send(6)] == ["behind", ("heard", 6)]
    behind.close()
    unheard = talks("hello")
    next(unheard)
    own = TypeError("not its to handle")
    with pytest.raises(TypeError) as thrown:
        unheard.throw(own)
    assert thrown.value is own
    assert searcher.ends() == [("ok", None), ("unknown", "cancelled"), ("error", "TypeError")]


def test_a_governed_generator_is_a_context_manager(searcher: Opened) -> None:
    told = []

    def lent(name: str) -> Iterator[str]:
        try:
            yield name
        except KeyError:
            told.append("handled")
        finally:
            told.append("given back")

    async def lent_later(name: str) -> AsyncIterator[str]:
        try:
            yield name
        except (KeyError, asyncio.CancelledError) as error:
            told.append(f"handled {type(error).__name__}")
            if not isinstance(error, KeyError):
                raise
        finally:
            told.append("given back")

    manages = contextlib.contextmanager(govern(lent, action="web.search"))
    with manages("a") as name:
        assert name == "a"
    with manages("b"):
        raise KeyError
    with pytest.raises(TypeError), manages("c"):
        raise TypeError
    assert told == ["given back", "handled", "given back", "given back"]
    told.clear()
    later = contextlib.asynccontextmanager(govern(lent_later, action="web.search"))

    async def main() -> None:
        async with later("a") as name:
            assert name == "a"
        async with later("b"):
            raise KeyError
        with pytest.raises(TypeError):
            async with later("c"):
                raise TypeError

        running = threading.Event()

        async def held() -> None:
            async with later("d"):
                running.set()
                await asyncio.sleep(60)

        task = asyncio.ensure_future(held())
        await runs(running)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(searcher, main)
    assert told == ["given back", "handled KeyError", "given back", "given back", "handled CancelledError", "given back"]
    codes = [result for result, _ in searcher.ends()]
    assert codes == ["ok", "ok", "error", "ok", "ok", "error", "unknown"]


def test_what_is_said_to_a_governed_asynchronous_generator_reaches_it(searcher: Opened) -> None:
    async def talk(first: str) -> AsyncIterator[Any]:
        heard: Any = yield first
        try:
            heard = yield ("heard", heard)
        except KeyError as error:
            heard = yield ("caught", error.args)
        if first == "tidies up badly":
            try:
                yield heard
            finally:
                raise ValueError(first)

    talks: Any = govern(talk, action="web.search")

    async def main() -> None:
        pieces = talks("hello")
        assert await pieces.__anext__() == "hello"
        assert await pieces.asend(5) == ("heard", 5)
        assert await pieces.athrow(KeyError("no")) == ("caught", ("no",))
        with pytest.raises(StopAsyncIteration):
            await pieces.asend("bye")
        left = talks("tidies up badly")
        await left.__anext__()
        assert [await left.asend(1), await left.asend(2)] == [("heard", 1), 2]
        with pytest.raises(ValueError, match="badly"):
            await left.aclose()
        unheard = talks("hello")
        await unheard.__anext__()
        with pytest.raises(TypeError):
            await unheard.athrow(TypeError("not its to handle"))

    run(searcher, main)
    assert searcher.ends() == [("ok", None), ("unknown", "cancelled"), ("error", "TypeError")]


def test_a_file_stays_open_until_what_is_answered_has_been_read(searcher: Opened) -> None:
    (searcher.root / "notes/a.md").write_text("one\ntwo\n")
    files: list[Any] = []
    reads: Any = functools.partial(govern, action="read_file", path_from="file", opened="r")

    def lines(file: Any) -> Iterator[str]:
        files.append(file)
        yield from file

    async def answers(file: Any) -> Iterator[str]:
        return lines(file)

    async def whole(file: Any) -> str:
        files.append(file)
        await asyncio.sleep(0)
        return str(file.read())

    async def main() -> None:
        assert list(await reads(answers)("notes/a.md")) == ["one\n", "two\n"]
        assert await reads(whole)("notes/a.md") == await reads(lambda file: whole(file))("notes/a.md") == "one\ntwo\n"
        begun = await reads(answers)("notes/a.md")
        assert next(begun) == "one\n" and not files[-1].closed
        begun.close()

    run(searcher, main)
    assert [file.closed for file in files] == [True] * 4
    assert searcher.ends() == [("ok", None)] * 3 + [("unknown", "cancelled")]
