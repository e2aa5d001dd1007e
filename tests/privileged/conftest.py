"""Fixtures that run `both_sources` in a mount namespace of its own, on machines of tests/machines."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from tests.privileged.both_sources import Answer, Order
from tests.support.machines import unpack_machine

ROOT = Path(__file__).parents[2]
CPUS = "devices/system/cpu"

UNSHARE = shutil.which("unshare")
# A mount namespace made by root, else one made by a user in a user namespace, in which that user is root.
WAYS = (("--mount",), ("--user", "--map-root-user", "--mount"))
CURE = (
    "these tests need a mount namespace of their own. Run them as root, or allow users to make one: "
    "sysctl -w user.max_user_namespaces=10000, and where there are these switches "
    "kernel.unprivileged_userns_clone=1 and kernel.apparmor_restrict_unprivileged_userns=0; "
    "in a container: --cap-add SYS_ADMIN --security-opt seccomp=unconfined --security-opt apparmor=unconfined"
)

Observe = Callable[..., Answer]
MakeTree = Callable[..., Path]


@pytest.fixture(scope="session")
def namespace_command() -> tuple[str, ...]:
    """Return the command that runs another one in a namespace in which /sys can be covered, or fail."""
    if UNSHARE is None:
        pytest.fail("there is no program `unshare`: install util-linux", pytrace=False)
    errors = []
    for way in WAYS:
        tried = subprocess.run(
            [UNSHARE, *way, "mount", "-t", "tmpfs", "tmpfs", "/sys"], capture_output=True, text=True, check=False
        )
        if tried.returncode == 0:
            return UNSHARE, *way
        errors.append(tried.stderr.strip())
    pytest.fail(f"{CURE}\n{errors}", pytrace=False)


@pytest.fixture
def observe(namespace_command: tuple[str, ...]) -> Observe:
    """Return a function that reads a tree by both sources: once as it is, then after each of `changes`."""

    def run(tree: Path, *changes: dict[str, str], as_mere_user: bool = False) -> Answer:
        order = Order(tree=str(tree), changes=list(changes), as_mere_user=as_mere_user)
        done = subprocess.run(
            [*namespace_command, sys.executable, "-W", "error", "-m", "tests.privileged.both_sources"],
            input=TypeAdapter(Order).dump_json(order).decode(),
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return TypeAdapter(Answer).validate_json(done.stdout)

    return run


@pytest.fixture
def make_tree(tmp_path: Path) -> MakeTree:
    """Return a function that unpacks a machine, gives it CPUs with two threads a socket, and returns its /sys."""

    def make(machine: str, *, sockets: int = 1, offline: int | None = None) -> Path:
        tree = unpack_machine(machine, tmp_path / machine) / "sys"
        cpus = tree / CPUS
        cpus.mkdir(parents=True, exist_ok=True)
        (cpus / "present").write_text(f"0-{2 * sockets - 1}\n")
        for cpu in range(2 * sockets):
            if cpu != offline:
                topology = cpus / f"cpu{cpu}/topology"
                topology.mkdir(parents=True, exist_ok=True)
                (topology / "physical_package_id").write_text(f"{cpu // 2}\n")
        return tree

    return make
