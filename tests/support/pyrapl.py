"""A fake of pyRAPL's sensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO


@dataclass(kw_only=True)
class FakeDevice:
    """pyRAPL's packages or memory: the sockets, and the file that is open for each."""

    _socket_ids: Sequence[int]
    _sys_files: Sequence[IO[str]]


@dataclass(kw_only=True)
class FakePyrapl:
    """pyRAPL's sensor with values that the test sets."""

    values: Sequence[float]
    _device_api: dict[int, FakeDevice] = field(default_factory=dict)
    error: Exception | None = None

    def energy(self) -> Sequence[float]:
        """Return the values, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.values
