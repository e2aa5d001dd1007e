from pathlib import Path

import pytest

from agent.doctor.container import findings_of_sharing
from tests.support.mount_table import write_mounts

SHARED = ("/run/joulefleet", "tmpfs", "/joulefleet")


@pytest.fixture
def container(tmp_path: Path) -> Path:
    """Return the root folder of a container."""
    (tmp_path / ".dockerenv").touch()
    return tmp_path


def topics(root: Path, *mounts: tuple[str, str] | tuple[str, str, str], **environ: str) -> list[str]:
    """Return the topics of the findings where these are mounted."""
    proc = write_mounts(root / "proc", ("/", "overlay"), *mounts)
    return [finding.topic for finding in findings_of_sharing(proc, root=root, environ=environ)]


def test_outside_of_a_container_there_is_no_finding(tmp_path: Path) -> None:
    """Nor where the user has declared this environment to be bare."""
    assert topics(tmp_path) == []
    (tmp_path / "in").mkdir()
    (tmp_path / "in/.dockerenv").touch()
    assert topics(tmp_path / "in", JOULEFLEET_ENVIRONMENT="bare") == []


def test_a_container_must_have_the_hosts_id_and_folder(container: Path) -> None:
    """Both are found at once, each with a cure for every kind of container."""
    proc = write_mounts(container / "proc", ("/", "overlay"))
    findings = list(findings_of_sharing(proc, root=container, environ={}))
    assert [finding.topic for finding in findings] == ["machine_id", "host_folder"]
    for finding in findings:
        assert all(kind in finding.advice for kind in ("Docker", "Podman", "Compose", "Kubernetes"))


def test_an_id_may_be_mounted_where_it_is_or_be_named(container: Path, tmp_path: Path) -> None:
    """Over the image's own file, or at another path that a variable names."""
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
    """No agent outside would see a lock in the container's memory, a pod's folder or an engine's volume."""
    assert topics(container, mount, JOULEFLEET_MACHINE_ID_FILE="/host/machine-id") == ["host_folder"]


def test_the_folder_may_have_another_name(container: Path) -> None:
    """It must only be the host's."""
    there = ("/somewhere", "ext4", "/srv/joulefleet")
    assert (
        topics(container, there, JOULEFLEET_MACHINE_ID_FILE="/host/machine-id", JOULEFLEET_HOST_FOLDER="/somewhere")
        == []
    )
