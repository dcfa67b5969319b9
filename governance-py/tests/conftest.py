import os
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

import governance
from governance.blocking import Governance
from searching import PROFILE, Opened

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
def searcher(home: Path, tmp_path: Path) -> Iterator[Opened]:
    (tmp_path / "searcher.yaml").write_text(PROFILE)
    (tmp_path / "root/notes").mkdir(parents=True)
    with Governance.open(home=home) as gov:
        pipeline = gov.begin("look something up")
        with gov.agent(tmp_path / "searcher.yaml", pipeline, role="alpha", root=tmp_path / "root") as agent:
            assert agent.id.startswith("searcher-") and agent.tier is governance.Tier.T1
            yield Opened(gov, agent, tmp_path / "root")


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
