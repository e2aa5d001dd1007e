"""The machines that a campaign measures on: `local` is this process, `ray` is this machine or a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from coordinator.cluster.interface import Cluster, Command


def open_cluster(command: Command, *, local: bool, address: str | None) -> Cluster:
    """Return this process, the cluster whose head is at `address`, or Ray on this machine. Raises MachineError."""
    if local:
        from coordinator.cluster.local import LocalCluster

        return LocalCluster(command)
    from coordinator.cluster.ray import RayCluster

    return RayCluster(command, address)
