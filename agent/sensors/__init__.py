"""Sources of readings, one module each. All keep the contract in `base`."""

from agent.sensors.base import Missing, Raw, Sensor, Why

__all__ = ["Missing", "Raw", "Sensor", "Why"]
