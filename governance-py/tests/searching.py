"""An agent that searches, and what the record says of it."""

import asyncio
import dataclasses
import json
import threading
import time
from pathlib import Path
from typing import Any, Callable, Optional

from governance import blocking

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


def search(query: str, *more: str, limit: int = 10, **options: Any) -> list[Any]:
    return [query, *more, limit, options]


def run(searcher: Opened, work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), 30))


async def runs(running: threading.Event) -> None:
    while not running.is_set():
        await asyncio.sleep(0.01)


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
