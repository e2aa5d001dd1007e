"""The pods of k8s/ on an engine: their containers, with users, confinement, mounts and commands, measure a study."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine
from tests.containers.kuberay import created_pods, head_service
from tests.containers.manifests import render
from tests.containers.pods import Json, Pod, Surroundings, docker_arguments, pods_of
from tests.containers.test_doctor import POWERCAP
from tests.soak.studies import write_study
from tests.support.machines import unpacked
from tests.support.wait import until

SUBNET = "10.83.{}.0/24"
ADDRESS = "10.83.{}.{}"


class Node:
    """One machine of the cluster, with all its pods on one network of the engine."""

    def __init__(self, host: Engine, folder: Path, overlay: str) -> None:
        self._host = host
        self._folder = folder
        self._third = secrets.randbelow(250)
        self.name = f"pods{secrets.token_hex(3)}"
        documents = render(overlay)
        (cluster,) = (each for each in documents if each["kind"] == "RayCluster")
        (job,) = (each for each in documents if each["kind"] == "Job")
        made = {pod.component: pod for pod in created_pods(cluster)}
        # The operator makes no pods of a DaemonSet: the cluster gives it nothing beyond its manifest.
        made |= {pod.component: pod for each in documents if each["kind"] == "DaemonSet" for pod in pods_of([each])}
        self.pods: dict[str, Pod] = made | {"run": next(iter(pods_of([job])))}
        self.service = head_service(cluster)
        self.token = secrets.token_hex(32)
        host.docker("network", "create", "--internal", f"--subnet={SUBNET.format(self._third)}", self.name)

    def run(self, component: str, container: str, *, number: int, wait: bool) -> str:
        """Start a container of a pod; with `wait` an init container, which must succeed."""
        around = Surroundings(
            host_paths={
                "/run/joulefleet": str(self._folder / "host"),
                "/etc/machine-id": str(self._folder / "machine-id"),
                "/sys/devices/virtual/powercap": str(self._folder / "sys" / POWERCAP),
                "/var/lib/joulefleet": str(self._folder / "state"),
                "/var/cache/joulefleet": str(self._folder / "cache"),
            },
            claims={"joulefleet-store": str(self._folder / "store")},
            config_maps={"studies": str(self._folder / "studies")},
            secrets={"joulefleet": {"auth_token": self.token}},
            fields={
                "status.podIP": ADDRESS.format(self._third, number),
                "spec.nodeName": "node-1",
                "metadata.name": f"{component}-1",
            },
            tmpfs_size="1g",
        )
        arguments = docker_arguments(self.pods[component], container, around)
        if component == "run":
            arguments[arguments.index("quick")] = "/studies/steady.yaml"
        short = self.service.partition(".")[0]
        aliases = [f"--network-alias={name}" for name in (self.service, short)] if component == "head" else []
        name = f"{self.name}-{component}-{container}"
        place = [f"--network={self.name}", f"--ip={ADDRESS.format(self._third, number)}", *aliases]
        self._host.docker("run", *(["--rm"] if wait else ["--detach"]), f"--name={name}", *place, *arguments)
        return name

    def work(self, component: str) -> Json:
        """Start the main container of a pod."""
        found: Json = self.pods[component].spec["containers"][0]
        return found

    def prepare(self, component: str, *, number: int) -> None:
        """Run a pod's init containers, one after the other."""
        for each in self.pods[component].spec.get("initContainers", []):
            self.run(component, each["name"], number=number, wait=True)

    def remove(self) -> None:
        """Remove everything of this machine."""
        for container in self._host.docker("ps", "--all", "--quiet", f"--filter=name={self.name}").split():
            self._host.docker("rm", "--force", "--volumes", container)
        self._host.docker("network", "rm", self.name)


@pytest.fixture(params=["bare-metal", "any-node", "daemonset"])
def node(request: pytest.FixtureRequest, host: Engine, tmp_path: Path) -> Iterator[Node]:
    """A machine with what its administrator and its kubelet provide: folders that belong to root, and an id."""
    tmp_path.chmod(0o755)
    for name in ("host", "state", "cache", "store", "studies"):
        (tmp_path / name).mkdir()
    # DirectoryOrCreate makes root's; a volume of a claim gets the pod's fsGroup.
    os.chown(tmp_path / "store", 0, 10001)
    (tmp_path / "store").chmod(0o2775)
    (tmp_path / "machine-id").write_text(secrets.token_hex(16))
    write_study(tmp_path / "studies", "steady", 1)
    shutil.copytree(unpacked("two-packages-with-dram") / "sys", tmp_path / "sys", symlinks=True)
    made = Node(host, tmp_path, request.param)
    yield made
    made.remove()


def logs(host: Engine, name: str) -> str:
    """Return all that a container has written."""
    done = host.run([host.client, "logs", name])
    return done.stdout + done.stderr


@pytest.mark.timeout(600)
def test_the_pods_of_an_overlay_measure_a_study(host: Engine, node: Node) -> None:
    """Head, agent with its init containers, and run: with their own commands and only the rights that they state."""
    head = node.run("head", node.work("head")["name"], number=2, wait=False)
    until(lambda: " is up" in logs(host, head), why=lambda: logs(host, head))
    node.prepare("agent", number=3)
    agent = node.run("agent", node.work("agent")["name"], number=3, wait=False)
    until(lambda: " is up" in logs(host, agent), why=lambda: logs(host, agent))
    run = node.run("run", node.work("run")["name"], number=4, wait=False)
    ended = "{{.State.Status}} {{.State.ExitCode}}"
    until(
        lambda: host.docker("inspect", "--format", ended, run).startswith("exited"),
        seconds=300,
        why=lambda: logs(host, run) + logs(host, agent),
    )
    assert host.docker("inspect", "--format", ended, run) == "exited 0", logs(host, run)
    question = "select any_value(environment) e, any_value(runtime) r, any_value(machine) m, count(*) n from trials"
    (row,) = json.loads(host.docker("exec", head, "joulefleet", "sql", "--format", "json", question))
    assert (row["e"], row["m"], row["n"]) == ("pod", "node-1", 4)
    for name in (head, agent):
        status = host.docker("exec", name, "cat", "/proc/1/status")
        assert "CapEff:\t0000000000000000" in status
        assert "NoNewPrivs:\t1" in status
        assert node.token not in logs(host, name)
    for kind in ("livenessProbe", "readinessProbe"):
        probe = node.work("agent")[kind]["exec"]["command"]
        host.docker("exec", agent, *probe)
