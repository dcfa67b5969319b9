import re
import subprocess
import sys
from pathlib import Path

README = (Path(__file__).parents[2] / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


def does_what_it_says_twice(code: str, folder: Path) -> None:
    promised = [line.split("# ")[1].split(":")[0] for line in code.splitlines() if "print(" in line]
    assert promised
    # What it leaves behind is in nobody's way.
    for _ in range(2):
        done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=60)
        assert (done.stdout.splitlines(), done.returncode, done.stderr) == (promised, 0, "")


def test_the_quick_start_does_what_it_says(tmp_path: Path) -> None:
    (code,) = blocks("python")
    assert len(code.splitlines()) <= 20
    does_what_it_says_twice(code, tmp_path)


def test_a_governed_tool_does_what_it_says_under_the_profile_beside_it(tmp_path: Path) -> None:
    (profile,) = (block for block in blocks("sh") if "profiles/scribe.yaml <<" in block)
    (code,) = blocks("py")
    for _ in range(2):
        subprocess.run(["sh", "-euc", profile], cwd=tmp_path, check=True, timeout=60)
    does_what_it_says_twice(code, tmp_path)
    assert (tmp_path / "work/notes/today.md").read_text() == "hello"
