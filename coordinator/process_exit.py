"""How this process ends: as usual, or at once, where goodbyes would hang."""

from __future__ import annotations

import os
import sys

_at_once = False


def at_once() -> None:
    """From now on nothing is to be waited for when this process ends."""
    global _at_once  # noqa: PLW0603 - there is one process, and it ends once
    _at_once = True


def leave(code: int) -> int:
    """End the process with `code` if nothing is to be waited for; else `code`, for the caller to end with."""
    if _at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
