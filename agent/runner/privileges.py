"""Privileges and priority of a process of the work, and its end together with its parent. Linux only."""

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
    """Have the kernel kill this process when its parent dies; end now if the parent is dead already.

    Otherwise the process would survive a SIGKILL of the agent and disturb the next measurement.
    """
    parent = os.getppid()
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def ignore_interrupts() -> None:
    """Ignore Ctrl-C, and end on SIGTERM: the coordinator handles Ctrl-C, and the trial may finish."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def drop_privileges(needed: Sequence[Path] = ()) -> str:
    """Give up every capability for good; the user stays the same.

    Root without capabilities can read only what the file modes allow. Where one of the `needed` paths is in
    another user's closed folder (root measures a checkout under /home), the capability to read is kept.
    Returns `none`, or the effective capabilities that are left as a hexadecimal mask.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.geteuid() == 0:
        keep = 0 if all(_readable_by_mode(path) for path in needed) else 1 << _CAP_DAC_READ_SEARCH
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


def _readable_by_mode(path: Path) -> bool:
    """Return whether user 0 can reach and read `path` by the file modes alone."""
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
    """Undo what a process inherits from a Ray worker: an out-of-memory score of 1000, and niceness where permitted."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("0")
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)


def settings_in_force() -> dict[str, object]:
    """Return niceness, CPUs, out-of-memory score and OMP_NUM_THREADS of this process, as columns of the row."""
    return {
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "cpus": sorted(os.sched_getaffinity(0)),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS"),
    }
