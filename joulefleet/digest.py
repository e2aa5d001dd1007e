"""Digests of plain data in one canonical form, so that equal data have equal ids everywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DIGEST_LENGTH = 20
"""Length of a digest, hexadecimal digits."""


def digest(data: Any) -> str:
    """Return the first 80 bits of SHA-256 over the canonical JSON of `data`, as 20 hexadecimal digits.

    Canonical JSON has sorted keys, no spaces, UTF-8 and no NaN (which raises ValueError). With 80 bits the
    probability that two of a million trials collide is under 1e-12.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
