"""Configuration of an agent: the paths of the machine's files and of its own, in one place."""

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
    """Return `$JOULEFLEET_STATE`, else the user's state folder: for outbox, journal and epochs."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(os.environ.get(STATE_VARIABLE) or Path(base) / "joulefleet")


def cache_folder() -> Path:
    """Return `$JOULEFLEET_CACHE`, else the user's cache folder: for weights and fetched items; it may be deleted."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get(CACHE_VARIABLE) or Path(base) / "joulefleet")


def powercap_folder() -> Path | None:
    """Return `$JOULEFLEET_POWERCAP`, the mount point of the powercap tree; None where the tree is in sysfs."""
    path = os.environ.get(POWERCAP_VARIABLE)
    return Path(path) if path else None


def _no_observers() -> Sequence[int]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSetup:
    """Paths and settings of an agent; the defaults are those of this process's environment variables."""

    sysfs_root: Path = field(default_factory=lambda: Path(os.environ.get(SYSFS_VARIABLE) or "/sys"))
    proc_root: Path = Path("/proc")
    powercap: Path | None = field(default_factory=powercap_folder)
    state: Path = field(default_factory=state_folder)
    cache: Path = field(default_factory=cache_folder)
    lock_folders: Callable[[], tuple[Path, ...]] = lock_folders
    """Function that returns the lock folders. It is called at each lock: the shared folder may be made later."""
    environment: str = field(default_factory=environment_label)
    """Label of the agent's own environment."""
    runners: Path = field(default_factory=runners_folder)
    """Folder of the sockets of the runners of other environments."""
    in_fleet: bool = False
    """Whether other agents measure for the same store: then the machine must have a reliable identity."""
    observers: Callable[[], Sequence[int]] = _no_observers
    """Returns the processes, apart from the agent, whose CPU time counts as the observer's."""
