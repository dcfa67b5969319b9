"""A governed call in Python beside `govern()` of agent-governance-toolkit-core, in the same run: compare the ratio.

    python -m venv target/agt && target/agt/bin/pip install agent-governance-toolkit-core==5.0.0
    cargo build --release -p governance-py
    cp target/release/libgovernance_py.so governance-py/python/governance/_governance.abi3.so
    PYTHONPATH=governance-py/python target/agt/bin/python benches/govern.py

Each wraps the same function with four scalar arguments and allows it by a rule of its own among a hundred. Ours writes two entries to a file that
survive SIGKILL; theirs keeps an audit log in memory, and with `audit_file` in a file.
"""

import asyncio
import logging
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, Callable

from agentmesh.governance.govern import GovernanceConfig, GovernedCallable
from agentmesh.governance.govern import govern as theirs

from governance import blocking, govern

ROUNDS, CALLS, RULES = 15, 500, 100


def tool(action: str, text: str, mode: int, ratio: float) -> str:
    return text


def call(governed: Callable[..., Any]) -> None:
    governed(action="web.search.7", text="the quick brown fox", mode=420, ratio=0.5)


def each(governed: Callable[..., Any]) -> list[float]:
    """How long calls took, in µs."""
    times = []
    for _ in range(CALLS):
        begun = time.perf_counter_ns()
        call(governed)
        times.append((time.perf_counter_ns() - begun) / 1000)
    return times


def profile(folder: Path) -> Path:
    path = folder / "bench.json"
    actions = ", ".join(f'"web.search.{number}"' for number in range(RULES))
    path.write_text(f'{{"agent_id": "bench", "agent_version": "1", "tier": "T1", "constraints": {{"allowed_actions": [{actions}]}}}}')
    return path


def policy() -> str:
    rules = "".join(f"""
  - name: rule-{number}
    condition: "action.type == 'web.search.{number}'"
    action: allow""" for number in range(RULES))
    return f"apiVersion: governance.toolkit/v1\nname: bench\nagents: ['*']\ndefault_action: deny\nrules:{rules}\n"


def percentile(times: list[float], of: int) -> float:
    return statistics.quantiles(times, n=100)[of - 1]


async def coroutine(safe: Callable[..., Any]) -> list[float]:
    times = []
    for _ in range(CALLS):
        begun = time.perf_counter_ns()
        await safe(action="web.search.7", text="the quick brown fox", mode=420, ratio=0.5)
        times.append((time.perf_counter_ns() - begun) / 1000)
    return times


async def awaited(action: str, text: str, mode: int, ratio: float) -> str:
    return text


def main() -> None:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with blocking.Governance.open(home=folder / "home") as gov:
            with gov.agent(profile(folder), gov.begin("bench"), role="alpha") as agent:
                named: dict[str, Callable[..., Any]] = {
                    "a bare function": tool,
                    "governance: govern(), two entries in a file": agent.govern(tool, action="web.search.7"),
                    "the same, by the agent that is entered": govern(tool, action="web.search.7"),
                    "agent-governance-toolkit-core: govern()": theirs(tool, policy=policy()),
                    "the same, with an audit file": GovernedCallable(tool, GovernanceConfig(policy=policy(), audit_file=str(folder / "audit.jsonl"))),
                }
                times: dict[str, list[float]] = {what: [] for what in named}
                times["governance: a coroutine"] = []
                safe = agent.govern(awaited, action="web.search.7")
                for _ in range(ROUNDS):
                    for what, governed in named.items():
                        times[what] += each(governed)
                    times["governance: a coroutine"] += asyncio.run(coroutine(safe))
    ours = statistics.median(times["governance: govern(), two entries in a file"])
    print(f"{platform.python_implementation()} {platform.python_version()}, {platform.machine()}, {RULES} rules, {ROUNDS * CALLS} calls each\n")
    print(f"| {'a call, four scalar arguments':<46} | {'p50 µs':>8} | {'p99 µs':>8} | {'beside ours':>11} |\n|{'-' * 48}|{'-' * 10}|{'-' * 10}|{'-' * 13}|")
    for what, of in times.items():
        p50 = statistics.median(of)
        print(f"| {what:<46} | {p50:8.2f} | {percentile(of, 99):8.2f} | {p50 / ours:9.1f} × |")
    print("\ngoal: ours ≤ 6 µs, theirs ≥ 20 × ours")


if __name__ == "__main__":
    main()
