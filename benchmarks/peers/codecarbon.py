"""The peer codecarbon 3.3.2: the energy that it makes of readings of RAPL's counters.

The peer lives in a virtual environment of its own (``codecarbon.txt``), and is driven through
``codecarbon_driver.py``. By default it reads the counters every 15 seconds, and at the end.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REQUIREMENTS = HERE / "codecarbon.txt"
DRIVER = HERE / "codecarbon_driver.py"

EVERY_S = 15.0
"""Its default for ``measure_power_secs``."""


def ensure_venv(folder: Path) -> Path:
    """Make the peer's virtual environment in ``folder`` unless it is there; return its Python.

    It is made anew when ``codecarbon.txt`` has changed or an earlier try did not finish.
    """
    python = folder / "bin" / "python"
    installed = folder / "installed.txt"
    wanted = REQUIREMENTS.read_text(encoding="utf-8")
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making the environment of codecarbon in {folder}", file=sys.stderr, flush=True)
    make = [sys.executable, "-m", "venv", "--clear", f"{folder}"]
    install = [f"{python}", "-m", "pip", "install", "--progress-bar=off", f"-r{REQUIREMENTS}"]
    for command in (make, install):
        subprocess.run(command, check=True, stdout=sys.stderr)
    installed.write_text(wanted, encoding="utf-8")
    return python


def joules(python: Path, counters: Sequence[dict[str, Any]]) -> list[float]:
    """Joules of each counter, of which ``codecarbon_driver.py`` says what it holds."""
    command = [str(python.absolute()), "-I", str(DRIVER)]
    done = subprocess.run(command, input=json.dumps(counters), stdout=subprocess.PIPE, text=True, check=True)
    answers: list[float] = json.loads(done.stdout)
    return answers
