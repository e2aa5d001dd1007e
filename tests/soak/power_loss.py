"""What a loss of power leaves of a machine's folders. power/sitecustomize.py keeps the image of what was synced."""

from __future__ import annotations

import fcntl
import json
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

FS_IOC_GETVERSION = 0x80087601
HOOK = Path(__file__).parent / "power"


def generation(descriptor: int) -> int:
    """Return a number that differs between successive files of one inode number; 0 if the file system has none."""
    try:
        found: int = struct.unpack("q", fcntl.ioctl(descriptor, FS_IOC_GETVERSION, bytes(8)))[0]
    except OSError:
        return 0
    return found


@dataclass(slots=True)
class Loss:
    """What was different on disk from what the processes saw last."""

    gone: int = 0
    returned: int = 0
    changed: int = 0

    def __str__(self) -> str:
        return f"{self.gone} files gone, {self.returned} came back, {self.changed} changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """The image of one machine's folders. Call `lose` only when none of its processes lives."""

    folder: Path

    def make(self) -> None:
        """Make an empty image of empty folders."""
        for name in ("data", "names"):
            (self.folder / name).mkdir(parents=True)

    def environment(self, watched: Iterable[Path], seen: Path) -> dict[str, str]:
        """Return the variables that the machine's processes need, beside HOOK on their path."""
        return {
            "SOAK_WATCHED": os.pathsep.join(map(str, watched)),
            "SOAK_SHADOW": str(self.folder),
            "SOAK_SEEN": str(seen),
        }

    def held(self) -> bool:
        """Tell whether a process is updating the image at this moment."""
        with (self.folder / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def lose(self, folder: Path, *, names: Iterable[str] | None = None) -> Loss:
        """Leave only what was synced below `folder`, or only files of these names in it.

        Folders themselves stay: every journaling file system keeps a folder in which something was synced.
        """
        loss = Loss()
        if not folder.is_dir():
            return loss
        if names is not None:
            self._lose_in(folder, set(names), loss)
            return loss
        for below in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
            self._lose_in(below, None, loss)
        return loss

    def _lose_in(self, folder: Path, names: set[str] | None, loss: Loss) -> None:
        listing = self._listing(folder)
        synced: dict[str, str] = json.loads(listing.read_bytes()) if listing.exists() else {}
        there = {path.name: path for path in folder.iterdir() if path.is_file()}
        wanted = synced.keys() | there.keys() if names is None else names
        for name in wanted:
            path = folder / name
            if name not in synced:
                if name in there:
                    path.unlink()
                    loss.gone += 1
                continue
            image = self.folder / "data" / synced[name]
            data = image.read_bytes() if image.exists() else b""
            if name in there and path.read_bytes() == data:
                continue
            if name in there:
                loss.changed += 1
            else:
                loss.returned += 1
            temporary = path.with_name(f".soak.{name}")
            temporary.write_bytes(data)
            temporary.rename(path)
        self._now_on_disk(folder)

    def _now_on_disk(self, folder: Path) -> None:
        """Make the image equal to what is on disk, as after a start of the machine."""
        names = {}
        for path in folder.iterdir():
            if path.is_file():
                with path.open("rb") as file:
                    names[path.name] = f"{path.stat().st_ino}-{generation(file.fileno())}"
                    (self.folder / "data" / names[path.name]).write_bytes(file.read())
        self._listing(folder).write_text(json.dumps(names))

    def _listing(self, folder: Path) -> Path:
        return self.folder / "names" / f"{sha256(str(folder).encode()).hexdigest()[:20]}.json"
