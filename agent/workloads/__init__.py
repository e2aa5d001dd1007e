"""Kinds of work, one module each, all of the shape in `interface`.

The agent imports `interface`, `texts` and `synthetic` only: the others bring torch, which belongs
into the runner's processes.
"""

from agent.workloads.base import LoadedModel, PassCounts, PrepareRequest, Workload, WorkSpec

__all__ = ["LoadedModel", "PassCounts", "PrepareRequest", "WorkSpec", "Workload"]
