"""Whether a file is the running kernel's own: told by the file system it lies in, never by its path.

A container mounts the host's /sys at another place, and a simulated machine may be mounted over
/sys itself: the type of the mount tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.host.files import text

_OCTAL = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """Where a file system, or a part of it, is mounted, and of which type it is."""

    point: Path
    kind: str
    root: str = "/"
    """What of the file system is mounted there."""


def is_kernels_own(path: Path, proc_root: Path) -> bool:
    """Whether `path` lies in a sysfs, as the mounts of `<proc_root>/self/mountinfo` say; False where they cannot."""
    mount = mount_of(path, proc_root)
    return mount is not None and mount.kind == "sysfs"


def mount_of(path: Path, proc_root: Path) -> Mount | None:
    """The mount that `path` lies in; None where `<proc_root>/self/mountinfo` cannot say."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        return None
    around = [entry for entry in _mounts(proc_root) if real.is_relative_to(entry[2].point)]
    ids = {mount_id for mount_id, _, _ in around}
    # An initial RAM file system is mounted on itself.
    here = next((entry for entry in around if entry[1] not in ids or entry[1] == entry[0]), None)
    for _ in around:
        # What is mounted on this mount. The shallowest is what one enters: it covers all that was there before.
        inner = [entry for entry in around if here is not None and entry[1] == here[0] != entry[0]]
        if not inner:
            break
        here = min(inner, key=lambda entry: len(entry[2].point.parts))
    return None if here is None else here[2]


def _mounts(proc_root: Path) -> Iterator[tuple[str, str, Mount]]:
    """Id, id of the mount it is mounted on, and mount."""
    for line in (text(proc_root / "self/mountinfo") or "").splitlines():
        # proc_pid_mountinfo(5): id, parent's id, device, root, mount point, options, optional fields, "-", type, ...
        before, found, after = line.partition(" - ")
        fields = before.split(" ")
        if found and len(fields) > 5:
            point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
            yield fields[0], fields[1], Mount(point=point, kind=after.partition(" ")[0], root=fields[3])
