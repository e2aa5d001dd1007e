"""The end of this process: the usual one, or at once where a clean shutdown would hang."""

from __future__ import annotations

import os
import sys

_at_once = False


def at_once() -> None:
    """Make `leave` end the process without waiting for threads, atexit handlers or open connections."""
    global _at_once  # noqa: PLW0603 - there is one process, and it ends once
    _at_once = True


def leave(code: int) -> int:
    """End the process with `code` if `at_once` was called; otherwise return `code`, for the caller to end with."""
    if _at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code
