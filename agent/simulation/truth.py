"""The log of a simulated machine's true energy: writing and reading it.

The file is a line of JSON (the channels), then one record a step: the time in ns of CLOCK_MONOTONIC
and the microjoules that each domain has drawn since the start, all as 64-bit numbers in this machine's
byte order. The power is constant between two steps, so the energy between them is interpolated linearly.
"""

from __future__ import annotations

import json
import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from joulefleet.errors import MachineError

_FIELD_BYTES = 8


class TruthLog:
    """The log, for writing. Records reach the file at `flush`, so that a step costs little."""

    def __init__(self, path: Path, channels: Sequence[str]) -> None:
        # Closed by `close`.
        self._file: BinaryIO = path.open("wb")
        self._file.write(json.dumps({"channels": list(channels)}).encode() + b"\n")
        self._record = struct.Struct(f"={1 + len(channels)}q")
        self._waiting: list[bytes] = []
        self.flush()

    def add(self, t_ns: int, energies_uj: Sequence[int]) -> None:
        """Add the record of one step."""
        self._waiting.append(self._record.pack(t_ns, *energies_uj))

    def flush(self) -> None:
        """Write the added records to the file."""
        self._file.write(b"".join(self._waiting))
        self._waiting.clear()
        self._file.flush()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()


class Truth:
    """The true energy of a simulated machine, up to the end of the log when it was read."""

    def __init__(self, channels: Sequence[str], t_ns: Sequence[int], energies_uj: Sequence[Sequence[int]]) -> None:
        self.channels = tuple(channels)
        self._t_ns = t_ns
        self._energies_uj = dict(zip(channels, energies_uj, strict=True))

    @property
    def span_ns(self) -> tuple[int, int]:
        """Times of the first and the last step, ns."""
        return self._t_ns[0], self._t_ns[-1]

    def joules(self, channel: str, start_ns: int, end_ns: int) -> float:
        """Return the joules that the domain drew between two times. Raises ValueError for times outside of the log."""
        return (self._at(channel, end_ns) - self._at(channel, start_ns)) / 1e6

    def longest_pause_ns(self, start_ns: int, end_ns: int) -> int:
        """Return the longest time without a step, ns, among all that the span touches. Counters stood still in it."""
        first = max(bisect_right(self._t_ns, start_ns) - 1, 0)
        last = min(bisect_left(self._t_ns, end_ns) + 1, len(self._t_ns))
        steps = self._t_ns[first:last]
        return max((after - before for before, after in pairwise(steps)), default=0)

    def age_ns(self, t_ns: int) -> int:
        """Return how old the counters were at this time, ns: the time since the last step."""
        self._check(t_ns)
        return t_ns - self._t_ns[bisect_right(self._t_ns, t_ns) - 1]

    def _at(self, channel: str, t_ns: int) -> float:
        self._check(t_ns)
        series = self._energies_uj[channel]
        after = bisect_left(self._t_ns, t_ns)
        if self._t_ns[after] == t_ns:
            return series[after]
        before = after - 1
        share = (t_ns - self._t_ns[before]) / (self._t_ns[after] - self._t_ns[before])
        return series[before] + share * (series[after] - series[before])

    def _check(self, t_ns: int) -> None:
        first, last = self.span_ns
        if not first <= t_ns <= last:
            raise ValueError(f"{t_ns} ns is not within the log, which spans {first} to {last} ns")


def read_truth(path: Path) -> Truth:
    """Read the log at `path`, which may still be written. Raises MachineError where it is no log."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        channels = [str(name) for name in json.loads(head)["channels"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MachineError(
            f"{path} is not the log of a simulated machine ({error}).",
            cure="Name the file `truth` in the folder given to python -m agent.simulation.",
        ) from error
    fields = 1 + len(channels)
    # The last record may be only half written.
    complete = len(body) // (fields * _FIELD_BYTES) * fields * _FIELD_BYTES
    numbers = array("q", body[:complete])
    if not numbers:
        raise MachineError(f"{path} holds no step yet.", cure="Read it once the simulated machine is ready.")
    return Truth(channels, numbers[0::fields], [numbers[field::fields] for field in range(1, fields)])
