"""What a runtime of our own is for: ends cleanly, survives a fork, lets others run, listens to Ctrl-C."""

import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import governance
from governance.blocking import Governance

UNCLOSED = """
import sys, threading
from governance.blocking import Governance

opened = Governance.open(home=sys.argv[1])
board = opened.blackboard("t", "alpha-1")
board.post("progress", "a", 1)

def busy():
    while True:
        board.entry("progress", "a")

for _ in range(3):
    threading.Thread(target=busy, daemon=True).start()
board.entry("progress", "a")
"""

FORKED = """
import os, sys
import governance
from governance.blocking import Governance

opened = Governance.open(home=sys.argv[1])
board = opened.blackboard("t", "alpha-1")
board.post("progress", "parent", 1)
child = os.fork()
if child == 0:
    try:
        board.entry("progress", "parent")
    except governance.InvalidError as refused:
        assert refused.code == "forked", refused
    else:
        raise SystemExit("the parent's handle was used in the child")
    try:
        Governance.open(home=sys.argv[1] + "/other")
    except governance.InvalidError as refused:
        assert refused.code == "forked", refused
    else:
        raise SystemExit("a child that bears its parent's locks opened a file")
    del board, opened
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert [entry.name for entry in board.entries("progress")] == ["parent"]
opened.close()
"""

CLOSED_BEFORE = """
import os, sys
from governance.blocking import Governance

def post(name):
    with Governance.open(home=sys.argv[1]) as own:
        own.blackboard("t", "alpha-1").post("progress", name, os.getpid())

post("before")
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        post(f"child-{number}")
        sys.exit(0)
    children.append(child)
assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
with Governance.open(home=sys.argv[1]) as own:
    names = [entry.name for entry in own.blackboard("t", "alpha-1").entries("progress")]
assert names == ["before", "child-0", "child-1", "child-2", "child-3"], names
"""


@pytest.mark.parametrize("round", range(10))
def test_a_process_ends_cleanly_with_everything_open(home: Path, round: int) -> None:
    done = subprocess.run([sys.executable, "-c", UNCLOSED, str(home)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_forked_child_is_refused_what_its_parent_holds(home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FORKED, str(home)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("round", range(5))
def test_children_of_a_parent_that_closed_first_open_their_own(home: Path, round: int) -> None:
    done = subprocess.run([sys.executable, "-c", CLOSED_BEFORE, str(home)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_threads_run_while_one_waits(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        ticks = 0
        waited = threading.Thread(target=lambda: refused(home, silent.getsockname()[1]), daemon=True)
        waited.start()
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            ticks += 1
        assert waited.is_alive() and ticks > 1_000


def refused(home: Path, port: int) -> None:
    with pytest.raises(governance.GovernanceError):
        Governance.open(home=home, store=f"redis://127.0.0.1:{port}")


def test_ctrl_c_ends_a_call_that_waits(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        begun = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            Governance.open(home=home, store=f"redis://127.0.0.1:{silent.getsockname()[1]}")
        assert time.monotonic() - begun < 4


def test_an_error_survives_pickling() -> None:
    with pytest.raises(governance.InvalidError) as refused:
        governance.next_phase("LUNCH")
    again = pickle.loads(pickle.dumps(refused.value))
    assert type(again) is governance.InvalidError and (str(again), again.code) == (str(refused.value), refused.value.code)
