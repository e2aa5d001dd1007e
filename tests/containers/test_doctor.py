"""What `joulefleet doctor` says in a container about counters that are mounted as a real host's would be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from joulefleet import __version__
from tests.containers.engine import Engine
from tests.support.machines import unpack_machine

POWERCAP = "devices/virtual/powercap"
GROUP = 4242
IMAGE = f"joulefleet-agent:{__version__}"
NOBODY = ("--user", "10001:10001")
ROOT = ("--user", "0:0")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A host's sysfs with counters that only root may read, as in the kernel."""
    root = unpack_machine("two-packages-with-dram", tmp_path / "machine") / "sys"
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.name.startswith("pytest-"):
            folder.chmod(0o755)
    tmp_path.chmod(0o755)
    for counter in root.rglob("energy_uj"):
        if not counter.is_symlink():
            counter.chmod(0o400)
    return root


def doctor(host: Engine, *options: str) -> dict[str, Any]:
    """Run doctor in a container as Compose starts it: without capabilities, on a read-only root file system."""
    found: dict[str, Any] = json.loads(
        host.docker(
            "run", "--rm", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--read-only", "--tmpfs=/tmp",
            *options, IMAGE, "doctor", "--json",
        )
    )  # fmt: skip
    return found


def readable(diagnosis: dict[str, Any]) -> list[str]:
    """Return the counters that can be read."""
    return [domain["name"] for domain in diagnosis["domains"] if domain["readable"]]


def of_energy(diagnosis: dict[str, Any]) -> tuple[str, str]:
    """Return why energy is missing, and the cure."""
    (found,) = [missing for missing in diagnosis["missing"] if missing["what"].startswith("energy")]
    return found["why"], found["cure"]


def mounted(tree: Path) -> str:
    """Return the mount that compose.yaml has."""
    return f"--volume={tree / POWERCAP}:/host/powercap:ro"


def test_masked_as_engines_mask_it(host: Engine, tree: Path) -> None:
    """An engine mounts an empty folder over the tree. The cure for each kind of container works."""
    masked = (f"--volume={tree}:/host/sys:ro", f"--tmpfs=/host/sys/{POWERCAP}", "-e=JOULEFLEET_SYSFS_ROOT=/host/sys")
    found = doctor(host, *ROOT, *masked)
    why, cure = of_energy(found)
    assert (why, readable(found)) == ("masked", [])
    for kind in ("Docker", "Podman", "Compose"):
        assert kind in cure
    assert "/sys/devices/virtual/powercap:/host/powercap:ro" in cure
    assert len(readable(doctor(host, *ROOT, *masked, mounted(tree)))) == 4


def test_root_without_any_capability_reads_the_counters(host: Engine, tree: Path) -> None:
    """So an agent has no capabilities."""
    found = doctor(host, *ROOT, mounted(tree))
    assert len(readable(found)) == 4
    assert found["total_scope"] == "package+dram"


def test_another_user_may_not(host: Engine, tree: Path) -> None:
    """Doctor distinguishes this from a mask, and says what to do in each kind of container."""
    found = doctor(host, *NOBODY, mounted(tree))
    why, cure = of_energy(found)
    assert (why, readable(found)) == ("not_permitted", [])
    for said in ("--user 0:0", "--group-add", "Compose", "Podman"):
        assert said in cure


def test_a_group_that_may_read_them_is_enough(host: Engine, tree: Path) -> None:
    """The user owns nothing and has only that supplementary group."""
    for counter in tree.rglob("energy_uj"):
        if not counter.is_symlink():
            os.chown(counter, 0, GROUP)
            counter.chmod(0o440)
    assert readable(doctor(host, *NOBODY, mounted(tree))) == []
    assert len(readable(doctor(host, *NOBODY, f"--group-add={GROUP}", mounted(tree)))) == 4


def test_without_a_mount_it_says_what_is_not_shared_with_the_host(host: Engine, tmp_path: Path) -> None:
    """Nobody else sees the container's lock, and without a machine id it is no machine at all."""
    found = doctor(host, *NOBODY)
    assert found["machine"] is None
    assert "host_folder" in [finding["topic"] for finding in found["findings"]]
    (tmp_path / "machine-id").write_text("5" * 32)
    (tmp_path / "host").mkdir()
    shared = (
        f"--volume={tmp_path}/machine-id:/host/machine-id:ro",
        f"--volume={tmp_path}/host:/run/joulefleet",
    )
    found = doctor(host, *NOBODY, *shared)
    assert found["machine"]["machine_id"]
    assert "host_folder" not in [finding["topic"] for finding in found["findings"]]
    own_memory = doctor(host, *NOBODY, shared[0], "--tmpfs=/run/joulefleet")
    assert "host_folder" in [finding["topic"] for finding in own_memory["findings"]]
