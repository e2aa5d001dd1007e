"""An attempt that was observed on a scripted machine: its sensors' values are functions of time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal, get_args

from agent.sensors import Missing, Raw
from agent.sensors.gpu.nvml import open_nvml
from agent.sensors.rapl.domains import Domain
from agent.sensors.system.thermal import open_thermal
from agent.trial.attempt import Observations
from agent.trial.sampler import Sampler
from agent.trial.sensor_set import SensorSet
from agent.trial.summary import measurement
from joulefleet.measurement import Channel, Measurement, Phase
from joulefleet.plan.trial import Trial
from tests.support.scripted_work import script

SECOND = 1_000_000_000

PACKAGE = Domain(
    channel="package-0",
    kind="package",
    range_uj=262_143_328_850,
    peak_w=500.0,
    counts_in=frozenset({"package", "package+dram"}),
)
DRAM = replace(PACKAGE, channel="package-0/dram", kind="dram", counts_in=frozenset({"package+dram"}))

PhaseName = Literal["baseline", "startup", "items", "load", "warm_up", "window", "teardown", "cool_down"]
PHASES: tuple[PhaseName, ...] = get_args(PhaseName)

Value = Callable[[float], float | None]
"""The value of a channel at a time in seconds; None where the read fails."""


class ScriptedSensor:
    """A sensor whose channels have the values of a script."""

    missing: tuple[Missing, ...] = ()

    def __init__(self, name: str, clock_ns: Callable[[], int], **values: Value) -> None:
        self.name = name
        self._clock_ns = clock_ns
        self._values = list(values.values())
        self.channels = tuple(Channel(name=n, unit="1", kind="counter", source="script") for n in values)

    def read(self) -> Raw:
        """Return the values of this moment as text."""
        values = [value(self._clock_ns() / SECOND) for value in self._values]
        return tuple(None if value is None else repr(value).encode() for value in values)

    def decode(self, raw: Raw) -> tuple[float | None, ...]:
        """Return the numbers."""
        return tuple(None if part is None else float(part) for part in raw)

    def close(self) -> None:
        """Do nothing: there is no file."""


class ScriptedEnergy(ScriptedSensor):
    """A package and its memory; see `EnergySensor`."""

    of_running_kernel = True
    longest_power_limit_window_s: float | None = None

    def __init__(self, clock_ns: Callable[[], int], domains: tuple[Domain, ...], watts: dict[str, float]) -> None:
        def counter(power_w: float) -> Value:
            return lambda t_s: round(power_w * t_s * 1e6)

        super().__init__("powercap", clock_ns, **{d.channel: counter(watts[d.channel]) for d in domains})
        self.domains = domains


@dataclass(kw_only=True)
class ScriptedAttempt:
    """An attempt of eight phases; each lasts ten seconds, the window is the sixth."""

    root: Path
    """An empty folder, in the place of /sys."""
    domains: tuple[Domain, ...] = (PACKAGE, DRAM)
    watts: dict[str, float] | None = None
    """Power of each domain, W: 40 of the package and 5 of the memory by default."""
    machine_cpus: float = 1.5
    """CPUs in use on the whole machine; the work uses one of them."""
    steal_cpus: float = 0.0

    def __post_init__(self) -> None:
        self.now_ns = 0
        watts = self.watts or {"package-0": 40.0, "package-0/dram": 5.0}
        self.energy = ScriptedEnergy(self._clock, self.domains, watts)
        sampler = Sampler(self._clock)
        self.sensors = SensorSet(
            sampler=sampler, energy=self.energy, thermal=open_thermal(self.root), gpu=open_nvml(self.root)
        )
        sampler.add(self.energy, period_s=1.0)
        machine = {"machine_cpu_s": self.machine_cpus, "machine_steal_s": self.steal_cpus}
        counters: dict[str, Value] = {name: (lambda t_s, cpus=cpus: cpus * t_s) for name, cpus in machine.items()}  # type: ignore[misc]  # a default argument
        sampler.add(ScriptedSensor("host", self._clock, **counters), period_s=1.0)
        sampler.add(ScriptedSensor("work", self._clock, work_rss_bytes=lambda t_s: 1e6 * t_s), period_s=1.0)

    def _clock(self) -> int:
        return self.now_ns

    def observed(self, **facts: object) -> Observations:
        """Run the script; the work reports the facts of `scripted_work`, with some changed."""
        observed = Observations(base_memory=(1_000, 600, 400), pss_uss=(900, 800), observer_cpu_s=0.1)
        marks = [self.sensors.sampler.mark()]
        for _ in PHASES:
            for _ in range(9):
                self.now_ns += SECOND
                self.sensors.sampler.poll()
            self.now_ns += SECOND
            marks.append(self.sensors.sampler.mark())
        for name, (start, end) in zip(PHASES, pairwise(marks), strict=True):
            observed.phases.append(Phase(name=name, start_ns=start, end_ns=end, cpu_s=10.0))
        observed.clocks = [(mark, 0) for mark in marks]
        observed.facts = next(mark for mark in script(**facts) if mark["mark"] == "done")
        return observed

    def measurement(self, trial: Trial, observed: Observations | None = None) -> Measurement:
        """Return the measurement of the attempt at `trial`."""
        return measurement(
            trial,
            observed or self.observed(),
            self.sensors,
            weights_digest="0" * 64,
            logical_cpus=4,
            started_at_ns=1_772_366_400 * SECOND,
            wall_s=80.0,
        )
