"""`governance`, the command line, as the wheel brings it: `python -m governance` here."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import governance

COMMAND = [sys.executable, "-m", "governance"]


def run(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([*COMMAND, *words, "--home", str(home)], capture_output=True, text=True, timeout=60)


def test_a_run_ends_with_its_outcome_and_its_code(home: Path) -> None:
    done = run(home, "run", "Design a caching strategy", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])
    assert run(home, "ledger", "verify").returncode == 0


def test_an_error_is_told_with_exit_code_one(home: Path) -> None:
    done = run(home, "pipeline", "status", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "no_home"
    wrong = run(home, "dance", "--json")
    assert (wrong.returncode, json.loads(wrong.stdout)["error"]["code"]) == (1, "usage")


def test_agents_in_processes_of_their_own_are_started_by_the_same_program(home: Path, tmp_path: Path) -> None:
    script = tmp_path / "governance"
    # Agents get none of this process's environment: where the package is must be known without it, as it is where it is installed.
    package = str(Path(governance.__file__).parents[1])
    script.write_text(f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {package!r})\nfrom governance.__main__ import main\nmain()\n")
    script.chmod(0o755)
    words = [str(script), "run", "Design a caching strategy", "--agents", "process", "--home", str(home)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def has_open(pid: int, name: str) -> bool:
    """Whether a process has come so far that it has opened this file."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            if os.readlink(descriptor).endswith(name):
                return True
    return False


def test_ctrl_c_ends_a_program_that_watches(home: Path) -> None:
    run(home, "run", "Design a caching strategy")
    with subprocess.Popen([*COMMAND, "blackboard", "watch", "--home", str(home)], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        deadline = time.monotonic() + 30
        while not has_open(watching.pid, "state.db"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        os.kill(watching.pid, signal.SIGINT)
        _, told = watching.communicate(timeout=20)
        assert b"Traceback" not in told and watching.returncode in (0, -signal.SIGINT)
