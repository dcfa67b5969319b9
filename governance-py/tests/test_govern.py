"""A governed tool runs after it was allowed and recorded, or not at all; and each end of it is recorded as what it is."""

import hashlib
import inspect
import json
import os
import threading
import time
from pathlib import Path
from typing import IO, Any

import pytest

import governance
from governance import blocking, govern
from searching import Opened, search


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
