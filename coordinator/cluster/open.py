"""Which cluster a run uses."""

from __future__ import annotations

from coordinator.cluster.interface import Cluster, Command


def open_cluster(command: Command, *, local: bool, address: str | None) -> Cluster:
    """This very process, embedded Ray on this machine, or the cluster at `address`. Raises MachineError."""
    if local:
        from coordinator.cluster.local import LocalCluster

        return LocalCluster(command)
    from coordinator.cluster.ray import RayCluster

    return RayCluster(command, address)
