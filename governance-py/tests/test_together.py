"""Python and Bun in one governed state: a budget, a death, a revocation across languages. Real processes, killed for real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Iterator

import pytest

import governance
from governance.blocking import Governance

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).with_name("together")
BUN = ROOT / "governance-node" / "node_modules" / ".bin" / "bun"
OBJECTIVE = "Design a caching strategy"


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """The programs of these tests and the examples, where both languages find `governance`."""
    assert BUN.exists(), "Bun is missing: use `tests/run python`"
    folder = tmp_path / "scripts"
    shutil.copytree(HERE, folder)
    shutil.copy(ROOT / "examples" / "bun" / "beta.ts", folder)
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "governance").symlink_to(ROOT / "governance-node")
    package = str(Path(governance.__file__).parents[1])
    for name, source in [("alpha", ROOT / "examples" / "python" / "alpha.py"), ("stubborn", HERE / "stubborn.py")]:
        # A run's agents get none of this process's environment.
        run = f"import sys, runpy\nsys.path.insert(0, {package!r})\nrunpy.run_path({str(source)!r}, run_name='__main__')\n"
        (folder / f"run_{name}.py").write_text(run)
    return folder


def lines(process: "subprocess.Popen[str]") -> Iterator[Any]:
    assert process.stdout is not None
    for line in process.stdout:
        yield json.loads(line)


def start(home: Path, scripts: Path, alpha: str, *words: str) -> "subprocess.Popen[str]":
    program = os.environ["GOVERNANCE_BIN"]
    agents = ["--agent", f"alpha={sys.executable} {scripts / alpha}", "--agent", f"beta={BUN} {scripts / 'beta.ts'}"]
    command = [program, "run", OBJECTIVE, "--json", "--home", str(home), *agents, *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def process_of(supervisor: int, script: str) -> int:
    """The child of a run that runs this script."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        for found in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((found / "stat").read_text().rsplit(")", 1)[1].split()[1])
                words = (found / "cmdline").read_bytes()
            except OSError:
                continue
            if parent == supervisor and script.encode() in words:
                return int(found.name)
        time.sleep(0.01)
    raise AssertionError(f"no child runs {script}")


def verified(home: Path) -> None:
    program = os.environ["GOVERNANCE_BIN"]
    done = subprocess.run([program, "ledger", "verify", "--home", str(home)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def test_eight_processes_of_two_languages_never_overshoot_one_budget(home: Path, scripts: Path) -> None:
    seconds = 8.0
    with Governance.open(home=home) as opened:
        opened.budget("shared").grant("calls", 1_000)
        python = [sys.executable, str(scripts / "draw.py"), str(home), str(seconds)]
        bun = [str(BUN), str(scripts / "draw.ts"), str(home), str(seconds)]
        outputs = [scripts / f"started-{number}" for number in range(8)]
        running = []
        for number, output in enumerate(outputs):
            with output.open("w") as into:
                running.append(subprocess.Popen(bun if number % 2 else python, stdout=into, stderr=subprocess.PIPE))
        # Two of each language die while they draw.
        for number in range(4):
            until = time.monotonic() + 30
            while sum(output.read_text().count("started") for output in outputs) < (number + 1) * 80 and time.monotonic() < until:
                time.sleep(0.001)
            os.kill(running[number].pid, signal.SIGKILL)
        codes = [process.wait(timeout=60) for process in running]
        assert codes[:4] == [-signal.SIGKILL] * 4, codes
        assert codes[4:] == [0] * 4, [process.stderr.read() for process in running[4:] if process.stderr]
        started = sum(output.read_text().count("started") for output in outputs)
        usage = opened.budget("shared").usage("calls")
        assert usage is not None
        # A holder that died between its draw and its line had started, as far as the budget knows.
        assert started <= usage.used <= 1_000 and usage.used - started <= 4, (started, usage)
        assert usage.used == 1_000, "what the dead did not start came back and was drawn by others"
    verified(home)


@pytest.mark.parametrize("stage", ["analyse", "evaluate", "vote"])
def test_a_run_goes_on_or_fails_as_it_should_when_alpha_is_killed(home: Path, scripts: Path, tmp_path: Path, stage: str) -> None:
    scenario = tmp_path / "slow.yaml"
    scenario.write_text(f"version: 1\nsteps:\n  - {{agent: alpha, on: {stage}, do: {{slow: 20s}}}}\n")
    # At the vote there is no time for another way: BETA may decide alone.
    run = start(home, scripts, "run_alpha.py", "--script", str(scenario), "--quorum", "1")
    wanted = {"analyse": "RUNNING", "evaluate": "ORCHESTRATING", "vote": "opened"}[stage]
    last: Any = None
    for told in lines(run):
        last = told
        if wanted in json.dumps(told):
            time.sleep(0.3)
            os.kill(process_of(run.pid, "run_alpha.py"), signal.SIGKILL)
            wanted = "\0"
    assert run.wait(timeout=60) == 0, last
    assert last["status"] == "COMPLETED" and last["decision"], last
    alphas = [agent for agent in last["agents"] if agent["role"] == "alpha"]
    assert [(agent["runtime"], agent["status"]) for agent in alphas] == [("python", "revoked")], last
    with Governance.open(home=home) as opened:
        failures = opened.ledger.list(pipeline=last["pipeline_id"], action="revoke")
        assert any(entry.agent_id == alphas[0]["id"] for entry in failures.actions), "the death is on the record"
    verified(home)


def test_an_agent_in_python_that_is_revoked_from_bun_is_stopped(home: Path, scripts: Path) -> None:
    run = start(home, scripts, "run_stubborn.py", "--timeout", "20")
    alpha = ""
    for told in lines(run):
        if told.get("type") == "agent_spawned" and told["data"]["role"] == "alpha":
            alpha = told["data"]["agent_id"]
        if told.get("type") == "pipeline_status" and told["data"]["status"] == "RUNNING":
            break
    child = process_of(run.pid, "run_stubborn.py")
    pipeline = ""
    with Governance.open(home=home) as opened:
        pipeline = alpha.replace("alpha-", "pipeline-")
        board = opened.blackboard(pipeline, "watcher")

        def late() -> int:
            return sum(entry.name.startswith("late-") for entry in board.entries("progress"))

        until = time.monotonic() + 20
        while late() < 5 and time.monotonic() < until:
            time.sleep(0.01)
        assert late() >= 5, "it writes"
        subprocess.run([str(BUN), str(scripts / "revoke.ts"), str(home), alpha], check=True, timeout=60)
        revoked, written = time.monotonic(), late()
        while Path(f"/proc/{child}").exists() and time.monotonic() < revoked + 20:
            time.sleep(0.01)
        assert time.monotonic() - revoked < 10, "a process that ignores everything is gone within five seconds, or somewhat more on a busy machine"
        assert late() == written, "nothing of it landed after the revoke returned"
    for _ in lines(run):
        pass
    run.wait(timeout=60)
    verified(home)
