"""Read one machine's counters by powercap and by pyRAPL, in a mount namespace whose /sys is that machine's.

The program takes an `Order` as JSON and prints an `Answer` as JSON. pyRAPL reads only /sys, so the machine's tree
must be mounted there.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import nan
from pathlib import Path

from pydantic import TypeAdapter

from agent.results.energy import CounterSeries, phase_energies
from agent.runner.privileges import drop_privileges
from agent.sensors.rapl.powercap import open_powercap
from agent.sensors.rapl.pyrapl import open_pyrapl
from agent.sensors.rapl.sensor import EnergySensor
from joulefleet.measurement import Phase

SYSFS, PROC = Path("/sys"), Path("/proc")
SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The machine's tree, and what is written to its files before each read but the first, by path below /sys."""

    tree: str
    changes: list[dict[str, str]]
    as_mere_user: bool = False
    """Whether the process gives up root's right to read every file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The result of one source."""

    of_running_kernel: bool
    reasons: dict[str, str | None]
    """Why a domain cannot be read, None where it can, by channel."""
    missing: list[dict[str, str]]
    values: list[dict[str, float | None]]
    """Microjoules by channel, for each read."""
    joules: dict[str, float | None]
    """Energy from the first read to the last, by domain; the reads are one second apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The results of both sources, and of pyRAPL used as in its manual."""

    powercap: Source
    pyrapl: Source
    files_left_open: int
    """Number of files that the sensor of pyRAPL leaves open after `close`."""
    plain_error: str | None
    plain_pkg_j: list[float] | None
    plain_dram_j: list[float] | None
    """Joules of each socket from the first read to the last; None where pyRAPL has none."""


class PlainPyrapl:
    """The library pyRAPL, used as in its manual."""

    def __init__(self) -> None:
        # Its import logs a warning, and it does not close its files.
        logging.disable()
        import pyRAPL

        warnings.simplefilter("ignore", ResourceWarning)
        self.error: str | None = None
        self.pkg_j: list[float] | None = None
        self.dram_j: list[float] | None = None
        try:
            pyRAPL.setup()
            self._measurement = pyRAPL.Measurement("window")
            self._measurement.begin()
        except Exception as error:  # noqa: BLE001 - the test compares the kind of the error
            self.error = type(error).__name__

    def end(self) -> None:
        """Store its result."""
        if self.error is None:
            self._measurement.end()
            result = self._measurement.result
            self.pkg_j = None if result.pkg is None else [joules / 1e6 for joules in result.pkg]
            self.dram_j = None if result.dram is None else [joules / 1e6 for joules in result.dram]


class Watched:
    """One source, read as a trial reads it."""

    def __init__(self, open_source: Callable[[Path, Path], EnergySensor]) -> None:
        self._sensor = open_source(SYSFS, PROC)
        self._values: list[dict[str, float | None]] = []

    def read(self) -> None:
        """Read every counter once."""
        channels = [channel.name for channel in self._sensor.channels]
        self._values.append(dict(zip(channels, self._sensor.decode(self._sensor.read()), strict=True)))

    def end(self) -> Source:
        """Close the source, and compute joules from its readings as a trial does."""
        sensor = self._sensor
        sensor.close()
        t_ns = [SECOND_NS * n for n in range(len(self._values))]
        series = {
            channel.name: [nan if value is None else value for value in (row[channel.name] for row in self._values)]
            for channel in sensor.channels
        }
        energies = phase_energies(
            CounterSeries(t_ns=t_ns, values=series),
            sensor.domains,
            [Phase(name="window", start_ns=0, end_ns=t_ns[-1])],
            source=sensor.name,
            provenance="simulated",
        )
        return Source(
            of_running_kernel=sensor.of_running_kernel,
            reasons={domain.channel: domain.reason for domain in sensor.domains},
            missing=[asdict(missing) for missing in sensor.missing],
            values=self._values,
            joules={energy.domain: energy.joules for energy in energies},
        )


def main() -> None:
    """Answer the order on stdin. Raises CalledProcessError where /sys cannot be covered."""
    order = TypeAdapter(Order).validate_json(sys.stdin.read())
    mount = shutil.which("mount") or "mount"
    subprocess.run([mount, "-t", "tmpfs", "tmpfs", str(SYSFS)], check=True)
    shutil.copytree(order.tree, SYSFS, symlinks=True, dirs_exist_ok=True)
    if order.as_mere_user:
        drop_privileges()
    files = _open_files()
    # pyRAPL comes first, so that output of its import would be noticed.
    open_pyrapl(SYSFS, PROC).close()
    files_left_open = _open_files() - files
    pyrapl = Watched(open_pyrapl)
    powercap = Watched(open_powercap)
    plain = PlainPyrapl()
    for change in ({}, *order.changes):
        for path, content in change.items():
            (SYSFS / path).write_text(content)
        pyrapl.read()
        powercap.read()
    plain.end()
    answer = Answer(
        powercap=powercap.end(),
        pyrapl=pyrapl.end(),
        files_left_open=files_left_open,
        plain_error=plain.error,
        plain_pkg_j=plain.pkg_j,
        plain_dram_j=plain.dram_j,
    )
    sys.stdout.write(TypeAdapter(Answer).dump_json(answer).decode())


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


if __name__ == "__main__":
    main()
