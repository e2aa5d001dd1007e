"""Ray: the only place that imports it."""

from coordinator.cluster.ray.cluster import RayCluster

__all__ = ["RayCluster"]
