"""One policy, one stop and one record for agents of Python, Bun, Node and Rust. Real processes, told what to do line by line."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, Callable, Iterator, Optional

import pytest

from governance import DeniedError, blocking, govern

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).with_name("together")
BUN = ROOT / "governance-node" / "node_modules" / ".bin" / "bun"
PROGRAM = os.environ.get("GOVERNANCE_BIN", "")
#: What must not be told. Long enough to be guessed by nobody, and plain ASCII: no spelling of JSON changes it.
CANARY = "canary-5f1e0c7a9b3d4c21"


class Told:
    """An agent in a process of its own."""

    def __init__(self, runtime: str, home: Path, scripts: Path, root: Path, environment: Optional[dict[str, str]] = None) -> None:
        words = {"python": [sys.executable, "told.py"], "bun": [str(BUN), "told.mjs"], "node": ["node", "told.mjs"]}[runtime]
        command = [words[0], str(scripts / words[1]), str(home), str(root)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        self.id = self.answer()["agent"]

    def ask(self, what: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        assert self.process.stdout is not None and self.process.stderr is not None
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        return json.loads(line)

    def does(self, what: Any) -> Any:
        self.ask(what)
        return self.answer()

    def end(self) -> str:
        """Its standard input ends, and so does it. Answers what it said on its standard error."""
        _, error = self.process.communicate(timeout=60)
        return error


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where tools may write: everything of this test, the home among it."""
    return tmp_path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / ".governance"


@pytest.fixture
def start(home: Path, root: Path, tmp_path: Path) -> Iterator[Callable[..., Told]]:
    assert BUN.exists() and PROGRAM, "use `tests/run python`"
    scripts = tmp_path / "scripts"
    shutil.copytree(HERE, scripts)
    (scripts / "node_modules").mkdir()
    (scripts / "node_modules" / "governance").symlink_to(ROOT / "governance-node")
    started: list[Told] = []

    def one(runtime: str, **more: Any) -> Told:
        started.append(Told(runtime, home, scripts, root, **more))
        return started[-1]

    yield one
    for told in started:
        told.process.kill()
        told.process.wait()


def run(home: Path, *words: str, **more: Any) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([PROGRAM, *words, "--home", str(home)], capture_output=True, text=True, timeout=60, **more)


def objects(home: Path, *words: str) -> list[Any]:
    done = run(home, *words, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_agent_works_in_its_sandbox_and_is_told_why_not_elsewhere(home: Path, tmp_path: Path) -> None:
    @govern(action="write_file", target_from="host", path_from="file", opened="w")
    def write(text: str, *, host: str, file: Any) -> None:
        handle: IO[str] = file
        handle.write(text)

    with blocking.Governance.open(home=home) as gov:
        with gov.agent("alpha", gov.begin("Write"), role="alpha", tier="T1", root=tmp_path) as agent:
            write("hello", host="sandbox-1", file="notes.md")
            assert (tmp_path / "notes.md").read_text() == "hello"
            with pytest.raises(DeniedError, match="forbidden by `prod-\\*`") as denied:
                write("hello", host="prod-db", file="production.md")
            decision = denied.value.details["decision"]
            assert decision["violation"] == "forbidden_target_access" and "prod-*" in json.dumps(decision["rule"]), decision
            assert not (tmp_path / "production.md").exists()
            id = agent.id
            revoked = gov.revocations.revocation_of(id)
            assert revoked is not None and "prod-*" in revoked.reason
    told = objects(home, "ledger", "list", "--agent", id, "--action", "tool_call")
    assert [(entry["kind"], entry["result"]) for entry in told][:2] == [("intent", None), ("outcome", "ok")]


def profile(where: Path, version: str, *lines: str) -> str:
    constraints = ["allowed_actions: [write_file]", "allowed_targets: ['sandbox-*']", *lines]
    text = "\n".join(["agent_id: alpha", f"agent_version: '{version}'", "tier: T1", "constraints:", *("  " + line for line in constraints)])
    where.write_text(text + "\n")
    return str(where)


def test_a_policy_that_the_program_applies_reaches_a_working_agent_of_bun_within_a_second(home: Path, tmp_path: Path, start: Callable[..., Told]) -> None:
    bun = start("bun")
    bun.ask({"work": {"action": "write_file", "with": {"host": "sandbox-1"}}})
    assert bun.answer() == {"came": "ran", "count": 0}
    # A person decides from now on: that is held against nobody, so its work can go on.
    for version, line, came in [("1", "approval_targets: ['sandbox-*']", "approval_required"), ("2", "approval_targets: []", "ran")]:
        objects(home, "policy", "apply", profile(tmp_path / "alpha.yaml", version, line))
        applied = time.monotonic()
        told = bun.answer()
        assert told["came"] == came and told["count"] > 0, told
        assert time.monotonic() - applied < 5, "D is a second; a busy machine lets whoever sees it wait"
    assert bun.process.poll() is None and not bun.end()
    with blocking.Governance.open(home=home) as gov:
        assert gov.revocations.revocation_of(bun.id) is None


CRITICAL = {
    "unauthorized_secret_access": {"action": "access_vault_root", "with": {}},
    "forbidden_target_access": {"action": "write_file", "with": {"host": "prod-db", "file": "work.md", "text": CANARY}},
    "governance_tampering": {"action": "write_file", "with": {"file": ".governance/config.toml", "text": CANARY}},
}


@pytest.mark.parametrize("violation", CRITICAL)
@pytest.mark.parametrize("runtime", ["python", "bun", "node"])
def test_a_critical_violation_ends_an_agent_of_any_language(home: Path, root: Path, start: Callable[..., Told], runtime: str, violation: str) -> None:
    agent = start(runtime)
    works = {"action": "write_file", "with": {"host": "sandbox-1", "file": "work.md", "text": "well"}}
    assert agent.does(works) == {"ran": True} and (root / "work.md").read_text() == "well"
    assert agent.does({"post": "before"}) == {"version": 1}
    denied = agent.does(CRITICAL[violation])
    assert (denied["ran"], denied["code"]) == (False, "not_allowed"), denied
    assert denied["details"]["decision"]["violation"] == violation
    # At once: by the time that it hears of it.
    assert agent.does({"post": "late"})["code"] == "revoked"
    late = {"action": "write_file", "with": {"host": "sandbox-1", "file": "work.md", "text": "late"}}
    assert (agent.does(late)["code"], (root / "work.md").read_text()) == ("revoked", "well")
    assert not (home / "config.toml").exists()
    told = objects(home, "ledger", "list", "--agent", agent.id)
    story = [entry["action"] for entry in told]
    assert story.index("tool_call") < story.index("violation") and "revoke" in story, story
    assert any(entry["action"] == "violation" and violation in entry["payload"] for entry in told)
    assert any(entry["action"] == "revoke" and entry["result"] == "ok" for entry in told)
    alerts = objects(home, "alerts")
    assert any(alert["type"] == "agent_revoked" and alert["data"]["agent_id"] == agent.id for alert in alerts)
    assert CANARY not in json.dumps([told, alerts, denied])
    agent.end()
    assert objects(home, "ledger", "verify")[-1]["intact"]


def test_a_stop_is_confirmed_by_python_bun_and_a_run(home: Path, tmp_path: Path, start: Callable[..., Told]) -> None:
    agents = [start("python"), start("bun")]
    scenario = tmp_path / "slow.yaml"
    scenario.write_text("version: 1\nsteps:\n  - {agent: alpha, on: analyse, do: {slow: 50s}}\n")
    command = [PROGRAM, "run", "Design a caching strategy", "--script", str(scenario), "--home", str(home), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        assert running.stdout is not None
        assert any('"RUNNING"' in line for line in running.stdout)
        stopped = objects(home, "stop", "--all", "--reason", "a drill")[-1]
        receipts = {receipt["pid"]: receipt for receipt in stopped["receipts"]["receipts"]}
        expected = {*(agent.process.pid for agent in agents), running.pid}
        assert expected <= receipts.keys(), stopped
        assert {receipt["state"] for receipt in receipts.values()} == {"confirmed"}, stopped
        assert all(receipts[agent.process.pid]["ended"] == [agent.id] for agent in agents), stopped
        for _ in running.stdout:
            pass
        assert running.wait(timeout=60) == 3
    for agent in agents:
        assert agent.does({"post": "late"})["code"] == "revoked"
        agent.end()


class Parrot(http.server.BaseHTTPRequestHandler):
    """A model's server that refuses the key, and says which it was."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        heard.append(self.headers["Authorization"])
        body = json.dumps({"error": {"message": f"{self.headers['Authorization']} is refused", "code": 401}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


heard: list[Optional[str]] = []


def test_a_canary_is_nowhere_but_where_it_must_be(home: Path, tmp_path: Path, start: Callable[..., Told]) -> None:
    key = tmp_path / "ann.key"
    objects(home, "policy", "apply", profile(tmp_path / "alpha.yaml", "1", "approval_targets: ['sandbox-billing']"))
    objects(home, "approvers", "add", "ann", "--key", str(key), "--no-passphrase")
    said = []
    approved = []
    logs = {"GOVERNANCE_LOG": "trace"}
    for runtime in ["python", "bun", "node"]:
        agent = start(runtime, environment=logs)
        plain = {"action": "write_file", "with": {"host": "sandbox-1", "text": CANARY}}
        assert agent.does(plain) == {"ran": True}
        assert agent.does({**plain, "raise": CANARY})["code"] == "raised"
        billing = {"action": "write_file", "with": {"host": "sandbox-billing", "text": CANARY}}
        refused = agent.does(billing)
        assert refused["code"] == "approval_required"
        said.append(json.dumps(refused))
        approval = refused["details"]["approval"]["id"]
        # Here it must be: nobody approves what they cannot see.
        shown = objects(home, "approvals", "show", approval)[-1]
        assert CANARY in json.dumps(shown["arguments"])
        said.append(run(home, "approvals", "list").stdout)
        done = run(home, "approvals", "approve", approval, "--hash", shown["approval"]["hash"], "--yes", "--key", str(key), "--note", "noted-7c1d")
        assert done.returncode == 0, done.stderr
        assert agent.does(billing) == {"ran": True}
        assert CANARY not in json.dumps(objects(home, "approvals", "show", approval)), "used: it is gone"
        denied = agent.does({"action": "write_file", "with": {"host": "staging-1", "text": CANARY}})
        assert denied["code"] == "not_allowed"
        said += [json.dumps(denied), agent.end()]
        approved.append(approval)
    server = http.server.HTTPServer(("127.0.0.1", 0), Parrot)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    words = ["run", "Design a caching strategy", "--mode", "openrouter", "--base-url", f"http://127.0.0.1:{server.server_port}", "--json"]
    ended = run(home, *words, env={**os.environ, **logs, "OPENROUTER_API_KEY": CANARY})
    server.shutdown()
    assert heard and heard[0] == f"Bearer {CANARY}" and ended.returncode != 0, ended.stdout
    said += [ended.stdout, ended.stderr]
    record = tmp_path / "record.jsonl"
    objects(home, "ledger", "export", "--out", str(record))
    looks = ["ledger list --limit 1000", "alerts", "pipeline logs", "pipeline status", "pipeline list", "agents list", "approvals list --all"]
    looks += ["policy history alpha", "health", "store check", "config show", "budget list"]
    for look in looks:
        said += [(done := run(home, *look.split(), *more)).stdout + done.stderr for more in ([], ["--json"])]
    said.append(record.read_text())
    leaks = [text for text in said if CANARY in text]
    assert not leaks, leaks[0]
    assert any(approved[0] in text for text in said) and "tool_call" in said[-1], "the looks see something"
    # A note is signed, and part of the record.
    assert "noted-7c1d" in said[-1]
    files = [path for path in home.rglob("*") if path.is_file() and not path.name.startswith("state.db")]
    assert any(path.name == "governance.db" for path in files)
    assert not [path for path in files if CANARY.encode() in path.read_bytes()]
