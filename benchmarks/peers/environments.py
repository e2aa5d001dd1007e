"""A virtual environment of its own for each peer, from its pinned requirements (`<name>.txt` beside this file)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parents[1] / ".peers"
"""The environments of all peers. Git ignores it."""


def ensure_environment(name: str) -> Path:
    """Make the environment of the peer `name` unless it is there; return its Python.

    It is made anew when the requirements have changed or an earlier attempt did not finish.
    """
    folder = FOLDER / name
    python = folder / "bin" / "python"
    requirements, installed = HERE / f"{name}.txt", folder / "installed.txt"
    wanted = requirements.read_text(encoding="utf-8")
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return python
    print(f"making the environment of {name} in {folder}", file=sys.stderr, flush=True)
    make = [sys.executable, "-m", "venv", "--clear", str(folder)]
    install = [str(python), "-m", "pip", "install", "--quiet", "--progress-bar=off", f"-r{requirements}"]
    for command in (make, install):
        subprocess.run(command, check=True, stdout=sys.stderr)
    installed.write_text(wanted, encoding="utf-8")
    return python
