"""The doctor's rules for a container: the host's machine id and shared folder must be mounted in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.doctor.checks import MachineFinding
from agent.host.environment import in_container
from agent.host.lock import HOST_FOLDER, host_folder
from agent.host.machine import MACHINE_ID_FILE
from agent.host.mounts import Mount, mount_of

_VOLUME = re.compile(r"/volumes/[^/]+/_data(/|$)")
"""Pattern in the path of each volume of Docker and Podman."""

_EMPTY_DIR = "kubernetes.io~empty-dir"
"""Part of the path of each emptyDir of a pod, by Kubernetes' layout of /var/lib/kubelet/pods."""


def findings_of_sharing(
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> Iterator[MachineFinding]:
    """Yield what this container must share with its host, but does not. Nothing outside of a container."""
    if not in_container(root, environ):
        return
    machine_id = etc_root / "machine-id"
    mount = mount_of(machine_id, proc_root)
    if not environ.get(MACHINE_ID_FILE) and (mount is None or mount.point != machine_id):
        yield MachineFinding(
            topic="machine_id",
            level="warning",
            message="the machine id belongs to the image: all containers of this image would be one machine",
            advice="Mount the host's /etc/machine-id and name it. Docker, Podman: "
            f"-v /etc/machine-id:/host/machine-id:ro -e {MACHINE_ID_FILE}=/host/machine-id. Compose: `volumes: "
            '["/etc/machine-id:/host/machine-id:ro"]`. Kubernetes: a volume hostPath: {path: /etc/machine-id, type: '
            "File} with mountPath: /host/machine-id.",
        )
    folder = host_folder(environ)
    reason = _why_not_shared(mount_of(folder, proc_root))
    if reason is not None:
        yield MachineFinding(
            topic="host_folder",
            level="warning",
            message=f"{folder}: {reason}, so agents outside this container would not see its lock, and two trials "
            "could measure each other",
            advice=f"Mount the host's folder there. Docker, Podman: -v {HOST_FOLDER}:{folder}. Compose: `volumes: "
            f'["{HOST_FOLDER}:{folder}"]`. Kubernetes: a volume hostPath: {{path: {HOST_FOLDER}, type: '
            f"DirectoryOrCreate}} with mountPath: {folder}.",
        )


def _why_not_shared(mount: Mount | None) -> str | None:
    """Return why what lies in `mount` belongs to the container; None where it may be the host's."""
    if mount is None or mount.point == Path("/"):
        return "nothing of the host is mounted there"
    if mount.kind == "tmpfs" and mount.root == "/":
        return "what is mounted there is the container's own memory"
    if _EMPTY_DIR in mount.root:
        return "what is mounted there is the pod's own (emptyDir)"
    if _VOLUME.search(mount.root):
        return "what is mounted there is a volume of the container engine, not a folder of the host"
    return None
