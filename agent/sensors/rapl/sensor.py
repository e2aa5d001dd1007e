"""What a sensor of energy counters is to the agent."""

from __future__ import annotations

from typing import Protocol

from agent.sensors.base import Sensor
from agent.sensors.rapl.domains import Domain


class EnergySensor(Sensor, Protocol):
    """A sensor of energy counters: a channel a readable domain, named for it, in microjoules."""

    @property
    def domains(self) -> tuple[Domain, ...]:
        """All that were found; those that cannot be read have a `reason` and no channel."""
        ...

    @property
    def own(self) -> bool:
        """Whether the counters are those of the kernel that runs here; else what they say is no measurement."""
        ...

    @property
    def longest_power_limit_window_s(self) -> float | None:
        """The longest time over which the CPU averages its power for a limit; None where no limit is readable."""
        ...
