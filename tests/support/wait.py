"""Waiting for a condition instead of for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, seconds: float = 120, why: Callable[[], str] = str) -> None:
    """Wait until `condition` is true, at most `seconds`; else fail with `why`."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, f"waited in vain: {why()}"
        time.sleep(0.02)
