"""Where an agent finds the machine's files and keeps its own: all paths in one place."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.host.environment import environment_label
from agent.host.lock import lock_folders
from agent.runner.discovery import runners_folder

STATE_VARIABLE = "JOULEFLEET_STATE"
CACHE_VARIABLE = "JOULEFLEET_CACHE"
SYSFS_VARIABLE = "JOULEFLEET_SYSFS_ROOT"
POWERCAP_VARIABLE = "JOULEFLEET_POWERCAP"


def state_folder() -> Path:
    """`$JOULEFLEET_STATE`, else the user's state folder: outbox and journal."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get(STATE_VARIABLE) or Path(base) / "joulefleet")


def cache_folder() -> Path:
    """`$JOULEFLEET_CACHE`, else the user's cache folder: weights and fetched items. May be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(CACHE_VARIABLE) or Path(base) / "joulefleet")


def powercap_folder() -> Path | None:
    """`$JOULEFLEET_POWERCAP`: where the powercap tree is mounted, where that is not in sysfs."""
    named = os.environ.get(POWERCAP_VARIABLE)
    return Path(named) if named else None


def _nobody_else() -> Sequence[int]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSetup:
    """What an agent is wired with. `observers` names the processes, beside the agent, that watch or schedule."""

    sysfs_root: Path = field(default_factory=lambda: Path(os.environ.get(SYSFS_VARIABLE) or "/sys"))
    proc_root: Path = Path("/proc")
    powercap: Path | None = field(default_factory=powercap_folder)
    state: Path = field(default_factory=state_folder)
    cache: Path = field(default_factory=cache_folder)
    lock_folders: Callable[[], tuple[Path, ...]] = lock_folders
    """Asked at each lock: the folder of this host's containers may come later than the agent."""
    environment: str = field(default_factory=environment_label)
    """What studies call the environment that the agent is in."""
    runners: Path = field(default_factory=runners_folder)
    """Where the sockets of the runners of other environments are."""
    in_fleet: bool = False
    """Whether others measure for the same store: then it must be certain which machine this is."""
    observers: Callable[[], Sequence[int]] = _nobody_else
