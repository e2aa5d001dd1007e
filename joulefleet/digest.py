"""Digests: one canonical form of plain data, so that equal things have equal ids everywhere."""

from __future__ import annotations

import hashlib
import json
from typing import Any

DIGEST_LENGTH = 20


def digest(data: Any) -> str:
    """The first 80 bits of SHA-256 over the canonical JSON of `data`, as 20 hexadecimal digits.

    Canonical: keys sorted, no spaces, UTF-8, no NaN. With 80 bits a million trials collide with a
    probability under 1e-12.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_LENGTH]
