"""The peer codecarbon 3.3.2: the energy that it computes from readings of RAPL's counters.

The peer lives in a virtual environment of its own (``codecarbon.txt``), and is driven through
``codecarbon_driver.py``. By default it reads the counters every 15 seconds, and at the end.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DRIVER = HERE / "codecarbon_driver.py"

EVERY_S = 15.0
"""Codecarbon's default for ``measure_power_secs``, seconds."""


def joules(python: Path, counters: Sequence[dict[str, Any]]) -> list[float]:
    """Return the joules of each counter; ``codecarbon_driver.py`` describes the keys of a counter."""
    command = [str(python.absolute()), "-I", str(DRIVER)]
    done = subprocess.run(command, input=json.dumps(counters), stdout=subprocess.PIPE, text=True, check=True)
    answers: list[float] = json.loads(done.stdout)
    return answers
