"""Ray: the only place that imports it."""

from coordinator.cluster.ray.fleet import RayCluster

__all__ = ["RayCluster"]
