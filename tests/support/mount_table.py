"""A /proc with a list of mounts."""

from __future__ import annotations

from pathlib import Path


def write_mounts(proc_root: Path, *mounts: tuple[str, str] | tuple[str, str, str]) -> Path:
    """Write `self/mountinfo` with these mount points, types and roots, each mounted on the deepest before it."""
    lines: list[str] = []
    points: list[Path] = []
    for place, (point, kind, *part) in enumerate(mounts):
        part_of = part[0] if part else "/"
        around = [i for i, other in enumerate(points) if Path(point).is_relative_to(other)]
        parent = max(around, key=lambda i: (len(points[i].parts), i), default=-1)
        # proc_pid_mountinfo(5): a blank in a path is written as \040.
        shown = point.replace(" ", "\\040")
        lines.append(
            f"{place + 20} {parent + 20} 0:{place} {part_of} {shown} rw,relatime shared:{place} - {kind} {kind} rw\n"
        )
        points.append(Path(point))
    (proc_root / "self").mkdir(parents=True)
    (proc_root / "self/mountinfo").write_text("".join(lines))
    return proc_root
