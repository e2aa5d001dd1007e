"""What a process of the work may do, and that it dies with who made it. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Sequence
from pathlib import Path

# From the kernel's include/uapi/linux/prctl.h and capability.h.
_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_READ_SEARCH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, and end now where that has happened.

    A child in a session of its own would survive a SIGKILL of the agent and spoil the next measurement.
    """
    parent = os.getppid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def ignore_interrupts() -> None:
    """Leave Ctrl-C to the coordinator: the first one lets the trial finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def drop_privileges(needed: Sequence[Path] = ()) -> str:
    """Give up every capability for good; the user stays the same.

    Root without capabilities reads only what its mode lets root read. Where one of the `needed` paths
    lies in another user's closed folder (root measures a checkout under /home), the right to read is
    kept. Returns what is left: `none`, or the effective capabilities as a hexadecimal mask.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        keep = 0 if all(_readable_as_mere_root(path) for path in needed) else 1 << _CAP_DAC_READ_SEARCH
        for capability in range(64):
            if not keep >> capability & 1:
                _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
        # Effective, permitted, inheritable; then the upper halves of the three.
        kept = (ctypes.c_uint32 * 6)(keep, keep, 0, 0, 0, 0)
        _libc.capset(header, kept)
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            mask = int(line.split()[1], 16)
            return "none" if mask == 0 else f"{mask:x}"
    return "unknown"


def _readable_as_mere_root(path: Path) -> bool:
    """Whether uid 0 may reach and read `path` by the modes alone."""
    real = path.resolve()
    for part in [real, *real.parents]:
        try:
            status = part.stat()
        except OSError:
            return True
        bits = (
            status.st_mode >> 6 if status.st_uid == 0 else status.st_mode >> 3 if status.st_gid == 0 else status.st_mode
        )
        if not bits & (1 if part.is_dir() else 4):
            return False
    return True


def ordinary_priority() -> None:
    """Undo what a Ray worker hands down: an out-of-memory score of 1000, and niceness where we may."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def effective() -> dict[str, object]:
    """Niceness, CPUs and the like as they took effect, for the row."""
    return {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cpus": sorted(os.sched_getaffinity(0)),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }
