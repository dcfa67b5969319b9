import json
import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable

import pytest

import governance
from governance.blocking import Governance

WRITER = """
import sys
from governance.blocking import Governance

with Governance.open(home=sys.argv[1]) as governance:
    board, written = governance.blackboard("t", sys.argv[2]), 0
    while written < int(sys.argv[3]):
        entry = board.entry("progress", "count")
        count, version = (entry.content, entry.version) if entry else (0, 0)
        written += bool(board.put_if("progress", "count", count + 1, version))
"""


def test_an_entry_comes_back_as_it_was_written(opened: Governance) -> None:
    board = opened.blackboard("caching", "alpha-1")
    content: Any = {"ttl": 60, "parts": ["é", None, True, -1.5], "deep": {"a key": 2**64 - 1, "low": -(2**63)}}
    assert board.post("solutions", "write-through", content) == 1
    entry = board.entry(governance.Section.SOLUTIONS, "write-through")
    assert entry is not None and entry.content == content
    assert (entry.section, entry.name, entry.version, entry.author) == ("solutions", "write-through", 1, "alpha-1")
    assert entry.section is governance.Section.SOLUTIONS and not entry.removed
    assert abs(datetime.now(timezone.utc) - entry.at) < timedelta(minutes=1)
    assert board.entries("solutions") == [entry]
    assert board.entry("solutions", "nothing") is None


def test_a_write_over_an_unread_version_is_told_what_is_there(opened: Governance) -> None:
    alpha, beta = opened.blackboard("t", "alpha-1"), opened.blackboard("t", "beta-1")
    first = alpha.put_if("progress", "plan", 1, 0)
    assert first and (first.accepted, first.conflict) == (1, None)
    late = beta.put_if("progress", "plan", 2, 0)
    assert not late and (late.accepted, late.conflict) == (None, 1)
    assert late == alpha.put_if("progress", "plan", 3, 0)


def test_an_error_has_the_class_of_its_kind_a_code_and_details(opened: Governance) -> None:
    board = opened.blackboard("t", "alpha-1")
    board.post("problem", "plan", "first")
    with pytest.raises(governance.ConflictError, match="expected 0, found 1") as taken:
        board.post("problem", "plan", "second")
    assert isinstance(taken.value, governance.GovernanceError)
    assert (taken.value.kind, taken.value.code) == ("conflict", "version_conflict")
    assert "found" in json.dumps(taken.value.details)
    with pytest.raises(governance.InvalidError, match="`opinions`"):
        board.entries("opinions")  # type: ignore[arg-type]
    with pytest.raises(governance.InvalidError, match="task id `no spaces`"):
        opened.blackboard("no spaces", "alpha-1")


def circle() -> Any:
    inner: list[Any] = []
    inner.append(inner)
    return inner


@pytest.mark.parametrize("content", [float("nan"), float("inf"), 2**64, {1: 2}, {"a": object()}, "\ud800", circle()])
def test_what_json_cannot_say_is_refused(opened: Governance, content: Any) -> None:
    with pytest.raises(governance.InvalidError) as refused:
        opened.blackboard("t", "alpha-1").post("problem", "odd", content)
    assert refused.value.code == "not_json"


def test_an_unknown_store_is_refused_and_nothing_is_made(home: Path) -> None:
    with pytest.raises(governance.InvalidError, match="`mysql://x`"):
        Governance.open(home=home, store="mysql://x")
    assert not home.exists()


def test_two_processes_share_one_blackboard(home: Path) -> None:
    each = 50
    command = [sys.executable, "-c", WRITER, str(home)]
    writers = [subprocess.Popen([*command, author, str(each)]) for author in ("alpha-1", "beta-1")]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with Governance.open(home=home) as opened:
        entry = opened.blackboard("t", "gamma-1").entry("progress", "count")
    assert entry is not None and (entry.content, entry.version) == (2 * each, 2 * each)


def test_the_command_line_and_this_process_share_one_blackboard(home: Path, cli: Callable[..., str]) -> None:
    cli("run", "Design a caching strategy", "--json")
    task = json.loads(cli("pipeline", "list", "--json").splitlines()[0])["pipeline_id"]
    with Governance.open(home=home) as opened:
        board = opened.blackboard(task, "alpha-9")
        assert board.entries("solutions")
        board.post("progress", "from-python", {"title": "seen from here"})
    shown = [json.loads(line) for line in cli("blackboard", "show", task, "--json").splitlines()]
    assert {"title": "seen from here"} in [entry["content"] for entry in shown if entry["author"] == "alpha-9"]


def test_many_threads_write_at_once(opened: Governance) -> None:
    def write(number: int) -> None:
        board = opened.blackboard("t", f"agent-{number}")
        for entry in range(20):
            board.post("solutions", f"idea-{number}-{entry}", entry)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened.blackboard("t", "reader").entries("solutions")) == 160
