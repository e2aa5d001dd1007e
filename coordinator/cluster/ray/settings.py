"""Settings that keep Ray quiet: what its processes do on a measured machine is measured with the work.

Each one was tried alone, by the CPU time that an idle node takes. Ray reads them when it is imported, so `apply`
must come before the first `import ray`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping

from joulefleet.errors import MachineError

OBJECT_STORE_BYTES = 100_000_000
"""Memory of a node's object store, bytes."""

AGENT_RESOURCE = "joulefleet_agent"
"""Name of the custom resource of which a measured node has one."""

NAMESPACE = "joulefleet"
"""Ray namespace of the agents."""

NODE_VARIABLE = "JOULEFLEET_RAY_NODE"
"""Environment variable of all processes of a node that `joulefleet node up` started: they have their own session."""

SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Workers run at nice 15 by default, and the work would inherit it.
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_enable_metrics_collection": "0",
    "RAY_task_events_report_interval_ms": "0",
    "RAY_event_stats": "0",
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_raylet_report_resources_period_milliseconds": "1000",
    "RAY_raylet_check_gc_period_milliseconds": "1000",
    "RAY_object_manager_timer_freq_ms": "1000",
    "RAY_local_fs_monitor_interval_ms": "5000",
    "RAY_kill_idle_workers_interval_ms": "2000",
    "RAY_debug_dump_period_milliseconds": "0",
    "RAY_io_context_monitor_probe_interval_ms": "10000",
    "RAY_core_worker_internal_heartbeat_ms": "5000",
    "RAY_report_worker_backlog_interval_ms": "10000",
    # Under uv, Ray would ship the working folder to every node.
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_DEDUP_LOGS": "0",
    # The default of a future version; without it Ray prints a warning at every start.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def need_ray() -> None:
    """Raise MachineError where Ray is not installed. Does not import it."""
    if importlib.util.find_spec("ray") is None:
        raise MachineError("Ray is not installed here.", cure="pip install 'joulefleet[all]' on machines that measure.")


def apply() -> None:
    """Put the settings into this process's environment; what the user has set stays."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)


def environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return `base` with the settings; what the user has set stays."""
    return SETTINGS | dict(base)
