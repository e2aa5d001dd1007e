"""The contract of a sensor, and the base of those that read files of /proc and /sys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

from agent.sensors.files import KeptFiles
from joulefleet.measurement import Channel

Raw = tuple[bytes | None, ...]
"""Result of one `read`: one entry a file (or a GPU); None where its read failed."""

Why = Literal["absent", "not_permitted", "masked", "unreadable"]
"""Kind of reason why something cannot be measured.

absent: this machine does not have it; not_permitted: this user may not read it; masked: a container
runtime hides it; unreadable: it is there, but holds nothing that can be used.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """One thing that cannot be measured on this machine. A sensor lists it and never raises for it."""

    what: str
    """The quantity, such as `energy of package-0`."""
    why: Why
    message: str
    """The reason, as a clause without a full stop."""
    cure: str
    """What the user can do, as sentences that work as written."""


class Sensor(Protocol):
    """A source of readings.

    The `open_...` function of its module opens all files and never raises for what is missing. Whoever
    calls that function owns the sensor: it calls `read` as often as it likes, always from one thread,
    `decode` for each result at any time, and `close` once at the end.

    `read` runs inside the measured window: it only fetches bytes, and `decode` makes numbers of them
    after the window.
    """

    @property
    def name(self) -> str:
        """The sensor's name, which is the `source` of its channels in the rows."""
        ...

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels that can be read, one for each number that `decode` returns, in its order."""
        ...

    @property
    def missing(self) -> tuple[Missing, ...]:
        """What the sensor is made for, but cannot measure on this machine."""
        ...

    def read(self) -> Raw:
        """Fetch the bytes: parse nothing, allocate little, never raise. After `close` all entries are None."""
        ...

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return the value of each channel in `raw`, in the channel's unit; None where there is no valid number."""
        ...

    def close(self) -> None:
        """Close the files. May be called again."""
        ...


class FileSensor:
    """The part of a `Sensor` that all sensors of files share: a subclass adds `name` and `decode`."""

    def __init__(self, files: KeptFiles, channels: Iterable[Channel], missing: Iterable[Missing] = ()) -> None:
        self._files = files
        self.channels = tuple(channels)
        self.missing = tuple(missing)

    def read(self) -> Raw:
        """Return the first bytes of each file; None where its read fails."""
        return self._files.read()

    def close(self) -> None:
        """Close the files."""
        self._files.close()
