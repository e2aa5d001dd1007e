"""Finding the file system that a path lies in, by the list of mounts of this process.

A path under /sys proves nothing: a container mounts the host's sysfs elsewhere, and a simulated machine
may be mounted over /sys. The type of the mount tells the kernel's own files from copies of them.
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
    """A file system, or a folder of it, mounted at a path."""

    point: Path
    """Path at which it is mounted."""
    kind: str
    """Type of the file system, such as sysfs, tmpfs, ext4."""
    root: str = "/"
    """Folder of the file system that is mounted."""


def is_in_sysfs(path: Path, proc_root: Path) -> bool:
    """Return whether `path` lies in a sysfs, and so belongs to the running kernel; False where that is unknown."""
    mount = mount_of(path, proc_root)
    return mount is not None and mount.kind == "sysfs"


def mount_of(path: Path, proc_root: Path) -> Mount | None:
    """Return the mount that `path` lies in, by `<proc_root>/self/mountinfo`; None where that is unknown."""
    try:
        real = path.resolve()
    except (OSError, RuntimeError):
        return None
    candidates = [entry for entry in _mounts(proc_root) if real.is_relative_to(entry[2].point)]
    ids = {mount_id for mount_id, _, _ in candidates}
    # Start at the root, which is mounted on something outside of this list, or on itself (initial RAM file system).
    current = next((entry for entry in candidates if entry[1] not in ids or entry[1] == entry[0]), None)
    for _ in candidates:
        # Follow the path inwards. Of several mounts on the current one, the shallowest covers the others.
        inner = [entry for entry in candidates if current is not None and entry[1] == current[0] != entry[0]]
        if not inner:
            break
        current = min(inner, key=lambda entry: len(entry[2].point.parts))
    return None if current is None else current[2]


def _mounts(proc_root: Path) -> Iterator[tuple[str, str, Mount]]:
    """Yield the id of each mount, the id of the mount it is mounted on, and the mount."""
    for line in (text(proc_root / "self/mountinfo") or "").splitlines():
        # proc_pid_mountinfo(5): id, parent's id, device, root, mount point, options, optional fields, "-", type, ...
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if separator and len(fields) > 5:
            point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[4]))
            yield fields[0], fields[1], Mount(point=point, kind=after.partition(" ")[0], root=fields[3])
