"""What a container does not share with its host, and must."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from agent.doctor.checks import MachineFinding
from agent.host.environment import in_container
from agent.host.machine import MACHINE_ID_FILE
from agent.host.mounts import Mount, mount_of
from agent.host.shared_folder import USUAL, host_folder

_VOLUME = re.compile(r"/volumes/[^/]+/_data(/|$)")
"""In the path of each volume of Docker's and Podman's."""

_EMPTY_DIR = "kubernetes.io~empty-dir"
"""In the path of each of a pod's own folders, by Kubernetes' layout of /var/lib/kubelet/pods."""


def findings_of_sharing(
    proc_root: Path,
    *,
    etc_root: Path = Path("/etc"),
    root: Path = Path("/"),
    environ: Mapping[str, str] = os.environ,
) -> Iterator[MachineFinding]:
    """What a container does not share with its host, and must. Nothing where this is none."""
    if not in_container(root, environ):
        return
    usual = etc_root / "machine-id"
    mount = mount_of(usual, proc_root)
    if not environ.get(MACHINE_ID_FILE) and (mount is None or mount.point != usual):
        yield MachineFinding(
            topic="machine_id",
            level="warning",
            message="the machine id is the image's: containers of one image would be one machine",
            advice="Mount the host's /etc/machine-id and name it. Docker, Podman: "
            f"-v /etc/machine-id:/host/machine-id:ro -e {MACHINE_ID_FILE}=/host/machine-id. Compose: `volumes: "
            '["/etc/machine-id:/host/machine-id:ro"]`. Kubernetes: a volume hostPath: {path: /etc/machine-id, type: '
            "File} with mountPath: /host/machine-id.",
        )
    folder = host_folder(environ)
    why = _why_own(mount_of(folder, proc_root))
    if why is not None:
        yield MachineFinding(
            topic="host_folder",
            level="warning",
            message=f"{folder}: {why}, so agents outside this container would not see its lock, and two trials could "
            "measure each other",
            advice=f"Mount the host's folder there. Docker, Podman: -v {USUAL}:{folder}. Compose: `volumes: "
            f'["{USUAL}:{folder}"]`. Kubernetes: a volume hostPath: {{path: {USUAL}, type: DirectoryOrCreate}} with '
            f"mountPath: {folder}.",
        )


def _why_own(mount: Mount | None) -> str | None:
    """Why the container has for itself what lies in `mount`; None where it does not."""
    if mount is None or mount.point == Path("/"):
        return "nothing of the host is mounted there"
    if mount.kind == "tmpfs" and mount.root == "/":
        return "what is mounted there is the container's own memory"
    if _EMPTY_DIR in mount.root:
        return "what is mounted there is the pod's own (emptyDir)"
    if _VOLUME.search(mount.root):
        return "what is mounted there is a volume of the engine's, and no folder of the host"
    return None
