"""Kinds of work, one module each, behind the interface in `base`.

The agent imports `base`, `model_files`, `texts` and `synthetic` only: the other modules import torch, which
belongs into the runner's processes.
"""

from agent.workloads.base import LoadedModel, PassCounts, PrepareRequest, Workload, WorkSpec

__all__ = ["LoadedModel", "PassCounts", "PrepareRequest", "WorkSpec", "Workload"]
