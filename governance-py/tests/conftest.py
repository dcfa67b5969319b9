import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

import governance
from governance.blocking import Governance

# The other processes of the tests import the same module.
os.environ["PYTHONPATH"] = str(Path(governance.__file__).parents[1])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def opened(home: Path) -> Iterator[Governance]:
    with Governance.open(home=home) as governance:
        yield governance


@pytest.fixture
def cli(home: Path) -> Callable[..., str]:
    """The command line that was built with this module."""
    program = os.environ.get("GOVERNANCE_BIN")
    assert program, "`GOVERNANCE_BIN` names the command line: use `tests/run python`"

    def run(*words: str) -> str:
        done = subprocess.run([program, *words, "--home", str(home)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
