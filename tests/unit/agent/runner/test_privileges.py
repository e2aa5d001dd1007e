"""The privileges of a process of the work."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PRINT_PRIVILEGES = """
import sys
from pathlib import Path
from agent.runner.privileges import drop_privileges
print(drop_privileges([Path(name) for name in sys.argv[1:]]))
print(Path("/proc/self/status").read_text().split("NoNewPrivs:")[1].split()[0])
"""


def privileges(*needed: Path) -> list[str]:
    """Return the privileges that a process keeps which needs these paths, and whether it can gain more."""
    command = [sys.executable, "-c", PRINT_PRIVILEGES, *map(str, needed)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_the_work_keeps_no_privilege_and_gains_none() -> None:
    """Root or not, no capability is left, and no program can restore one."""
    assert privileges(Path("/etc/passwd")) == ["none", "1"]


def test_root_keeps_the_right_to_read_where_another_users_folder_is_closed(tmp_path: Path) -> None:
    """Root that measures a checkout in a user's closed home must still read its weights; other users keep nothing."""
    weights = tmp_path / "weights"
    weights.write_text("")
    if os.geteuid() == 0:
        os.chown(weights, 65534, 65534)
    weights.chmod(0o600)
    assert privileges(weights) == ["4" if os.geteuid() == 0 else "none", "1"]
