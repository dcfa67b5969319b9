import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_quick_start_does_what_it_says(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)
    assert len(code.splitlines()) <= 20
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    promised = [line.split("# ")[1].split(":")[0] for line in code.splitlines() if "print(" in line]
    assert (done.stdout.splitlines(), done.returncode, done.stderr) == (promised, 0, "")
