"""`governance.blocking` is `governance` without waiting: its stub is made from the other one. `python tests/test_stubs.py` makes it again."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "python/governance"


def blocking() -> str:
    text = (PACKAGE / "_handles.pyi").read_text()
    text = text.replace(
        '"""Governed state for asyncio: every call answers a coroutine."""',
        '"""Governed state for code that waits: every call answers when it is done, and other threads run meanwhile."""',
    )
    text = text.replace("from ._coroutine import Opening\n", "")
    text = re.sub(r"Opening\[(\w+)\]", r"\1", text)
    text = text.replace("async def __a", "def __").replace("async def", "def").replace("AsyncIterator", "Iterator")
    return text


def test_the_blocking_classes_have_the_same_calls() -> None:
    assert (PACKAGE / "blocking.pyi").read_text() == blocking(), "run `python tests/test_stubs.py`"


if __name__ == "__main__":
    (PACKAGE / "blocking.pyi").write_text(blocking())
