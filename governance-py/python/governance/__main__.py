"""The command line: `governance`, or `python -m governance`."""

import os
import signal
import sys
from pathlib import Path
from typing import Optional

from . import _governance


def main() -> None:
    """Runs the command line with this process's arguments, and ends the process with its exit code."""
    # Ctrl-C is the program's own affair, not the interpreter's.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    program = _program()
    sys.exit(_governance._run(["governance", *sys.argv[1:]], str(program) if program else None))


def _program() -> Optional[Path]:
    """What starts this again, as an agent in a process of its own."""
    candidates = [Path(sys.argv[0]).absolute(), Path(sys.executable).with_name("governance")]
    return next((path for path in candidates if path.name == "governance" and os.access(path, os.X_OK)), None)


if __name__ == "__main__":
    main()
