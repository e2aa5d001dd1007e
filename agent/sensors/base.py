"""What a sensor is to the agent.

A sensor opens its files once. `read` is called inside the measured window: it only fetches bytes
(`os.pread` of kept descriptors), and `decode` makes numbers of them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from joulefleet.measurement import Channel

Raw = tuple[bytes | None, ...]
"""What one `read` fetched, one entry a file; None where the read failed."""

Why = Literal["absent", "not_permitted", "masked", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What this machine cannot measure, why, and the cure."""

    what: str
    why: Why
    message: str
    cure: str


class Sensor(Protocol):
    """A source of readings. Made by its module's `open_...` function, which never raises for what is missing."""

    @property
    def name(self) -> str:
        """The source, as it stands in the rows."""
        ...

    @property
    def channels(self) -> tuple[Channel, ...]:
        """One a number that `decode` returns, in its order."""
        ...

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What the sensor would measure but cannot."""
        ...

    def read(self) -> Raw:
        """Fetch the bytes. Allocates little, parses nothing, never raises for a failed read."""
        ...

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """The value of each channel in `raw`; None where it is not a number."""
        ...

    def close(self) -> None:
        """Close the files."""
        ...
