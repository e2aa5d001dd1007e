from pathlib import Path

import pytest

from agent.doctor.container import findings_of_sharing
from tests.support.mounts import write_mounts

SHARED = ("/run/joulefleet", "tmpfs", "/joulefleet")


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """The root folder of a container."""
    (tmp_path / ".dockerenv").touch()
    return tmp_path


def topics(root: Path, *mounts: tuple[str, str] | tuple[str, str, str], **environ: str) -> list[str]:
    """What is found to be missing where these are mounted."""
    proc = write_mounts(root / "proc", ("/", "overlay"), *mounts)
    return [found.topic for found in findings_of_sharing(proc, root=root, environ=environ)]


def test_what_is_no_container_shares_with_nobody(tmp_path: Path) -> None:
    """Nor does one whose user says that it is the host itself."""
    assert topics(tmp_path) == []
    (tmp_path / "in").mkdir()
    (tmp_path / "in/.dockerenv").touch()
    assert topics(tmp_path / "in", JOULEFLEET_ENVIRONMENT="bare") == []


def test_a_container_must_have_the_hosts_id_and_folder(container: Path) -> None:
    """Both are said at once, each with a cure for every kind of container."""
    proc = write_mounts(container / "proc", ("/", "overlay"))
    found = list(findings_of_sharing(proc, root=container, environ={}))
    assert [finding.topic for finding in found] == ["machine_id", "host_folder"]
    for finding in found:
        assert all(kind in finding.advice for kind in ("Docker", "Podman", "Compose", "Kubernetes"))


def test_an_id_may_be_mounted_where_it_is_or_be_named(container: Path, tmp_path: Path) -> None:
    """Over the image's own, or at another place."""
    assert topics(container, SHARED, ("/etc/machine-id", "ext4", "/etc/machine-id")) == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other/.dockerenv").touch()
    assert topics(tmp_path / "other", SHARED, JOULEFLEET_MACHINE_ID_FILE="/host/machine-id") == []


@pytest.mark.parametrize(
    "mount",
    [
        ("/run/joulefleet", "tmpfs"),
        ("/run/joulefleet", "ext4", "/var/lib/kubelet/pods/3c/volumes/kubernetes.io~empty-dir/lock"),
        ("/run/joulefleet", "ext4", "/var/lib/docker/volumes/lock/_data"),
        ("/run/other", "tmpfs", "/joulefleet"),
    ],
)
def test_a_folder_of_the_containers_own_is_not_the_hosts(
    container: Path, mount: tuple[str, str] | tuple[str, str, str]
) -> None:
    """Its own memory, a pod's own folder, or nothing at all: no other agent would see the lock in there."""
    assert topics(container, mount, JOULEFLEET_MACHINE_ID_FILE="/host/machine-id") == ["host_folder"]


def test_the_folder_may_have_another_name(container: Path) -> None:
    """As long as it is the host's."""
    there = ("/somewhere", "ext4", "/srv/joulefleet")
    assert (
        topics(container, there, JOULEFLEET_MACHINE_ID_FILE="/host/machine-id", JOULEFLEET_HOST_FOLDER="/somewhere")
        == []
    )
