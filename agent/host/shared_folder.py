"""The folder that all agents and runners of one host share: its lock, and the runners' sockets.

A container sees it, and the host's machine id, only where they are mounted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "JOULEFLEET_HOST_FOLDER"
USUAL = Path("/run/joulefleet")
"""The host's, and the place at which containers have it."""


def host_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """`$JOULEFLEET_HOST_FOLDER`, else /run/joulefleet."""
    return Path(environ.get(VARIABLE) or USUAL)
