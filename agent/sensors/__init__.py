"""Sources of readings, one module each, all of the shape in `base`."""

from agent.sensors.base import Missing, Raw, Sensor, Why

__all__ = ["Missing", "Raw", "Sensor", "Why"]
