"""The contract of a sensor of energy counters."""

from __future__ import annotations

from typing import Protocol

from agent.sensors.base import Sensor
from agent.sensors.rapl.domains import Domain


class EnergySensor(Sensor, Protocol):
    """A `Sensor` of energy counters, with a channel in microjoules for each domain that can be read.

    A channel has its domain's name. Its values wrap at the domain's `range_uj`; `agent.results.energy`
    makes joules of them.
    """

    @property
    def domains(self) -> tuple[Domain, ...]:
        """All domains of the machine; those that cannot be read have a `reason` and no channel."""
        ...

    @property
    def of_running_kernel(self) -> bool:
        """Whether all counters belong to the kernel that runs here; rows of any others are marked simulated."""
        ...

    @property
    def longest_power_limit_window_s(self) -> float | None:
        """Longest time over which the CPU averages its power for a limit, seconds; None where no limit is readable."""
        ...
