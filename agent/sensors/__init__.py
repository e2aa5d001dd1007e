"""Sources of readings, one module each, all of the shape in `interface`."""

from agent.sensors.base import EnergySensor, Missing, Raw, Sensor, Why

__all__ = ["EnergySensor", "Missing", "Raw", "Sensor", "Why"]
