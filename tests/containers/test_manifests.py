"""The manifests of k8s/ are valid, hardened, and agree with code, images and Compose. Only kubectl is needed."""

import copy
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup

from coordinator.__main__ import app
from coordinator.cluster.ray.node.spec import PORT_BASE, Ports
from joulefleet import __version__
from tests.containers.kuberay import created_pods
from tests.containers.manifests import (
    OVERLAYS,
    ROOT,
    VERSIONS,
    crds_folder,
    definition,
    errors_by,
    judge,
    kubernetes_errors,
    own_schema,
    read_yaml,
    render,
    report,
)
from tests.containers.pods import Json, Pod, Surroundings, docker_arguments, pods_of, qos, quantity

PORTS = Ports(base=PORT_BASE)
USER = 10001
RAPL = ("bare-metal", "daemonset")
TOKEN = {"valueFrom": {"secretKeyRef": {"name": "joulefleet", "key": "auth_token"}}}


@pytest.fixture(params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> str:
    """Each of the overlays."""
    return str(request.param)


@pytest.fixture
def documents(overlay: str) -> tuple[Json, ...]:
    """The objects of an overlay."""
    return render(overlay)


@pytest.fixture
def pods(documents: tuple[Json, ...]) -> list[Pod]:
    """The pods of an overlay."""
    return list(pods_of(documents))


def the(kind: str, overlay: str) -> Json:
    """Return the only object of that kind."""
    (found,) = (each for each in render(overlay) if each["kind"] == kind)
    return found


def the_pod(component: str, overlay: str) -> Pod:
    """Return the only pod with that part in the fleet."""
    (found,) = (pod for pod in pods_of(render(overlay)) if pod.component == component)
    return found


def main_container(pod: Pod) -> Json:
    """Return the container that runs Joulefleet."""
    (found,) = pod.spec["containers"]
    return dict(found)


def mounts(pod: Pod) -> dict[str, Json]:
    """Return, by path of the main container, the volume mounted there, with the mount's `readOnly`."""
    volumes = {volume["name"]: volume for volume in pod.spec["volumes"]}
    return {
        mount["mountPath"]: volumes[mount["name"]] | {"readOnly": mount.get("readOnly", False)}
        for mount in main_container(pod)["volumeMounts"]
    }


def settings_of_images() -> dict[str, str]:
    """Return what docker/Dockerfile sets in the environment of both images."""
    text = (ROOT / "docker" / "Dockerfile").read_text().replace("\\\n", " ")
    return {
        setting[1]: setting[2]
        for line in re.findall(r"^ENV (.*)$", text, re.MULTILINE)
        for setting in re.finditer(r"([A-Z_]+)=(\S+)", line)
    }


# Valid


def test_there_is_an_overlay_for_each_kind_of_machine() -> None:
    """With energy counters or without; a number of machines or all of them."""
    assert OVERLAYS == ("any-node", "bare-metal", "daemonset")


def test_every_object_is_valid_for_the_newest_kubernetes(documents: tuple[Json, ...]) -> None:
    """Strictly, because the API server drops an unknown field without a message."""
    wrong = [verdict for verdict in judge(documents, crds=crds_folder()) if verdict.errors]
    assert wrong == []


def test_an_overlay_is_whole(documents: tuple[Json, ...], overlay: str) -> None:
    """It has everything that a run needs, in one namespace."""
    kinds = sorted(document["kind"] for document in documents)
    agents = ["DaemonSet"] if overlay == "daemonset" else []
    assert kinds == [
        *agents,
        "Job",
        "Namespace",
        "NetworkPolicy",
        "PersistentVolumeClaim",
        "RayCluster",
        "ServiceAccount",
    ]
    (namespace,) = (each["metadata"]["name"] for each in documents if each["kind"] == "Namespace")
    assert {each["metadata"]["namespace"] for each in documents if each["kind"] != "Namespace"} == {namespace}


def test_the_report_has_a_line_for_each_object_and_version(overlay: str) -> None:
    """And no line reports an error."""
    lines = list(report([overlay]))
    assert all(good for _, good in lines)
    of_version = [text for text, _ in lines if VERSIONS[-1] in text]
    # A RayCluster is asked about by the pods of its groups: one for the head, one for the agents.
    pods = len([pod for pod in pods_of(render(overlay)) if pod.owner.startswith("RayCluster")])
    assert len(of_version) == len(render(overlay)) - 1 + pods


Spoil = Callable[[dict[str, Any]], object]
"""Breaks an object."""


def _head(document: Json) -> Any:
    return document["spec"]["headGroupSpec"]["template"]["spec"]


def _put(where: Any, name: str, value: object) -> None:
    where[name] = value


SPOILT: Mapping[str, tuple[str, Spoil]] = {
    "no token": ("RayCluster", lambda it: it["spec"]["authOptions"].update(mode="disabled")),
    "a misspelt group of options": ("RayCluster", lambda it: _put(it["spec"], "authOption", {"mode": "token"})),
    "KubeRay's own command": ("RayCluster", lambda it: it["metadata"]["annotations"].clear()),
    "replicas as a text": ("RayCluster", lambda it: it["spec"]["workerGroupSpecs"][0].update(replicas="2")),
    "an unknown field of a group": ("RayCluster", lambda it: _put(it["spec"]["workerGroupSpecs"][0], "replica", 2)),
    "an unknown field of a pod": ("RayCluster", lambda it: _put(_head(it), "tolerate", [])),
    "an unknown field of a container": ("RayCluster", lambda it: _put(_head(it)["containers"][0], "probe", {})),
    "a port as a text": ("RayCluster", lambda it: _head(it)["containers"][0]["ports"][0].update(containerPort="6379")),
    "capabilities kept by a misspelling": (
        "RayCluster",
        lambda it: _put(_head(it)["containers"][0]["securityContext"], "capabilities", {"dropp": ["ALL"]}),
    ),
    "a Job without a template": ("Job", lambda it: it["spec"].pop("template")),
    "an unknown field of a Job": ("Job", lambda it: _put(it["spec"], "retries", 3)),
    "a policy with a misspelt direction": ("NetworkPolicy", lambda it: _put(it["spec"], "engress", [])),
    "a claim with one access mode": ("PersistentVolumeClaim", lambda it: it["spec"].update(accessModes="RWO")),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_broken_manifest_is_refused(name: str) -> None:
    """Otherwise a verdict of "valid" would mean nothing."""
    kind, spoil = SPOILT[name]
    broken = copy.deepcopy(dict(the(kind, "bare-metal")))
    spoil(broken)
    assert any(verdict.errors for verdict in judge([broken]))


@pytest.mark.skipif(crds_folder() is None, reason="$KUBERAY_CRDS names no folder with KubeRay's definitions")
@pytest.mark.parametrize("name", [name for name, (kind, _) in SPOILT.items() if kind == "RayCluster"])
def test_the_definition_of_kuberay_refuses_it_too(name: str) -> None:
    """As far as it can: it requires neither a token nor our own command."""
    broken = copy.deepcopy(dict(the("RayCluster", "bare-metal")))
    SPOILT[name][1](broken)
    folder = crds_folder()
    assert folder is not None
    knows = name not in {"no token", "KubeRay's own command"}
    assert bool(errors_by(definition(folder), broken)) == knows


def test_our_own_schema_knows_a_cluster_without_agents() -> None:
    """In the overlay `daemonset` KubeRay keeps only the head."""
    cluster = the("RayCluster", "daemonset")
    assert "workerGroupSpecs" not in cluster["spec"]
    assert errors_by(own_schema(), cluster) == ()


def test_an_unknown_kind_is_an_error_and_not_passed_over() -> None:
    """A misspelt kind has no schema."""
    assert kubernetes_errors({"apiVersion": "apps/v1", "kind": "DeamonSet", "metadata": {"name": "x"}}, VERSIONS[-1])


# Of one mind with images, code and KubeRay


def test_the_images_are_those_that_are_built(pods: list[Pod]) -> None:
    """Names and tag agree with Compose, and each image has its target in the Dockerfile."""
    compose = read_yaml((ROOT / "docker" / "compose.yaml").read_text())[0]
    defaults = {
        re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", service["image"])
        for name, service in compose["services"].items()
        if name != "runner"  # its image may be any
    }
    targets = re.findall(r"^FROM \S+ AS (\S+)$", (ROOT / "docker" / "Dockerfile").read_text(), re.MULTILINE)
    used = {container["image"] for pod in pods for container in pod.containers()}
    assert used == defaults == {f"joulefleet-{name}:{__version__}" for name in ("agent", "coordinator")}
    assert {"agent", "coordinator"} <= set(targets)
    for pod in pods:
        expected = "joulefleet-agent" if pod.component == "agent" else "joulefleet-coordinator"
        assert {container["image"].rpartition(":")[0] for container in pod.containers()} == {expected}


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return what the command line understands of the arguments."""
    command = typer.main.get_command(app)
    words = [word.replace("$(POD_IP)", "192.0.2.9") for word in arguments]
    name = "joulefleet"
    while isinstance(command, TyperGroup):
        name = words.pop(0)
        command = command.commands[name]
    return {"command": name} | command.make_context(name, words).params


def test_the_commands_are_understood(pods: list[Pod]) -> None:
    """By the command line itself, which is the images' entry point."""
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["joulefleet"]' in dockerfile
    service = f"joulefleet-head-svc:{PORTS.head}"
    for pod in pods:
        container = main_container(pod)
        assert "command" not in container
        said = parsed(container["args"])
        assert said["listen"] == "192.0.2.9"
        match pod.component:
            case "head":
                assert (said["command"], said["head"], said["join"], said["foreground"]) == ("up", True, None, True)
            case "agent":
                assert (said["command"], said["head"], said["join"], said["foreground"]) == ("up", False, service, True)
                assert said["measure_here"] is None
            case "run":
                assert (said["command"], said["study"], said["address"]) == ("run", "quick", service)


def test_a_command_with_a_misspelt_option_would_not_be_understood() -> None:
    """The test above must be able to fail."""
    with pytest.raises(Exception, match="No such option"):
        parsed(["node", "up", "--listem", "192.0.2.9"])


def test_the_head_and_its_secret_have_the_names_that_kuberay_gives_them(overlay: str) -> None:
    """CLUSTER-head-svc, and a Secret named for the cluster with the key auth_token."""
    cluster = the("RayCluster", overlay)["metadata"]["name"]
    for pod in pods_of(render(overlay)):
        for word in main_container(pod)["args"]:
            if ":" in word:
                assert word == f"{cluster}-head-svc:{PORTS.head}"
    for document in render(overlay):
        for found in _of_key(document, "secretKeyRef"):
            assert found == {"name": cluster, "key": "auth_token"}


def _of_key(where: Any, key: str) -> Iterator[Any]:
    if isinstance(where, Mapping):
        for name, value in where.items():
            if name == key:
                yield value
            yield from _of_key(value, key)
    elif isinstance(where, list):
        for each in where:
            yield from _of_key(each, key)


def test_the_token_comes_from_kuberay(pods: list[Pod]) -> None:
    """KubeRay sets it in its own pods; its first releases would set it twice if we did too."""
    for pod in pods:
        environment = {each["name"]: each for each in main_container(pod)["env"]}
        if pod.owner.startswith("RayCluster"):
            assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & environment.keys()
        else:
            assert environment["RAY_AUTH_MODE"]["value"] == "token"
            assert environment["RAY_AUTH_TOKEN"] == {"name": "RAY_AUTH_TOKEN"} | TOKEN


def test_no_manifest_holds_a_secret(overlay: str) -> None:
    """KubeRay makes the only one."""
    text = "\n".join(path.read_text() for path in (ROOT / "k8s").rglob("*.yaml"))
    assert not re.search(r"[0-9a-fA-F]{32}|[A-Za-z0-9+/]{43}=", text)
    assert not any(each["kind"] == "Secret" for each in render(overlay))
    for pod in pods_of(render(overlay)):
        for container in pod.containers():
            for each in container.get("env", []):
                assert "value" not in each or not re.search("TOKEN|PASSWORD|SECRET|KEY", each["name"])


def test_the_version_of_ray_is_the_installed_one(overlay: str) -> None:
    """KubeRay asks for it before it makes a token."""
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line)
    assert the("RayCluster", overlay)["spec"]["rayVersion"] == pinned["ray"]


def test_the_settings_are_read_by_the_code(pods: list[Pod]) -> None:
    """A misspelt setting would be ignored without a message."""
    sources = [path for name in ("agent", "coordinator", "joulefleet") for path in (ROOT / name).rglob("*.py")]
    known = {name for path in sources for name in re.findall(r'"((?:JOULEFLEET|RAY)_\w+)"', path.read_text())}
    given = {each["name"] for pod in pods for each in main_container(pod)["env"]} - {"POD_IP"}
    assert given <= known
    assert {"JOULEFLEET_ENVIRONMENT", "JOULEFLEET_MACHINE_NAME"} <= given


def test_every_folder_of_the_images_settings_is_mounted(pods: list[Pod], overlay: str) -> None:
    """The root file system is read-only; the host's folders are too, except the one that all agents share."""
    settings = settings_of_images()
    for pod in pods:
        at = mounts(pod)
        writable = [settings["JOULEFLEET_STATE"], settings["JOULEFLEET_CACHE"], "/tmp", "/dev/shm"]  # noqa: S108
        if pod.component == "agent":
            writable.append(settings["JOULEFLEET_HOST_FOLDER"])
        assert str(Path(settings["JOULEFLEET_HEARTBEAT"]).parent) in writable
        assert settings["HOME"] in writable
        assert [path for path in writable if at[path]["readOnly"]] == []
        assert at["/dev/shm"]["emptyDir"]["medium"] == "Memory"  # noqa: S108
        assert quantity(at["/dev/shm"]["emptyDir"]["sizeLimit"]) >= 256 * 1024**2  # noqa: S108
        others = at.keys() - set(writable)
        match pod.component:
            case "agent":
                counters = {settings["JOULEFLEET_POWERCAP"]} if overlay in RAPL else set()
                assert others == {settings["JOULEFLEET_MACHINE_ID_FILE"]} | counters
            case "head":
                assert others == {settings["JOULEFLEET_STORE"]}
            case "run":
                assert others == {settings["JOULEFLEET_STORE"], "/studies"}
        assert [path for path in others if not at[path]["readOnly"]] == (
            [settings["JOULEFLEET_STORE"]] if pod.component == "run" else []
        )


def test_what_an_agent_keeps_is_the_machines(overlay: str) -> None:
    """A finished trial survives its pod, and the next pod of the same machine finds it."""
    settings = settings_of_images()
    at = mounts(the_pod("agent", overlay))
    for name in ("JOULEFLEET_STATE", "JOULEFLEET_CACHE", "JOULEFLEET_HOST_FOLDER"):
        assert at[settings[name]]["hostPath"]["type"] == "DirectoryOrCreate"
    assert at["/run/joulefleet"]["hostPath"]["path"] == "/run/joulefleet"
    assert at["/host/machine-id"]["hostPath"] == {"path": "/etc/machine-id", "type": "File"}
    if overlay in RAPL:
        assert at["/host/powercap"]["hostPath"] == {"path": "/sys/devices/virtual/powercap", "type": "Directory"}


def test_the_ports_are_those_of_a_node(overlay: str) -> None:
    """The network policy has all of them; a pod names the two that KubeRay would otherwise choose itself."""
    every = set(PORTS.all(is_head=True))
    spec = the("NetworkPolicy", overlay)["spec"]
    (inward,) = spec["ingress"]
    outward = next(rule for rule in spec["egress"] if rule["to"] == [{"podSelector": {}}])
    for rule in (inward, outward):
        assert all(port["protocol"] == "TCP" for port in rule["ports"])
        assert {each for port in rule["ports"] for each in range(port["port"], port["endPort"] + 1)} == every
    metrics = {"name": "metrics", "containerPort": PORTS.named["--metrics-export-port"]}
    head = {"name": "gcs-server", "containerPort": PORTS.head}

    def declared(component: str) -> list[Json]:
        ports = main_container(the_pod(component, overlay))["ports"]
        return [{key: port[key] for key in ("name", "containerPort")} for port in ports]

    assert declared("head") == [head, metrics]
    assert declared("agent") == [metrics]
    assert the("RayCluster", overlay)["spec"]["headGroupSpec"]["rayStartParams"]["port"] == str(PORTS.head)


def test_strangers_reach_no_pod(overlay: str) -> None:
    """And pods reach only each other and the cluster's DNS."""
    spec = the("NetworkPolicy", overlay)["spec"]
    assert spec["podSelector"] == {}
    assert sorted(spec["policyTypes"]) == ["Egress", "Ingress"]
    assert [rule["from"] for rule in spec["ingress"]] == [[{"podSelector": {}}]]
    (names,) = (rule for rule in spec["egress"] if rule["to"] != [{"podSelector": {}}])
    assert {port["port"] for port in names["ports"]} == {53}
    assert names["to"][0].keys() == {"namespaceSelector", "podSelector"}


# What a measured machine needs


def test_agents_have_cpus_of_their_own(overlay: str) -> None:
    """They are Guaranteed with whole CPUs, init containers too."""
    agent = the_pod("agent", overlay)
    assert qos(agent) == "Guaranteed"
    assert quantity(main_container(agent)["resources"]["limits"]["cpu"]) % 1 == 0


def test_what_kuberay_adds_spoils_nothing(overlay: str) -> None:
    """No setting appears twice, its init container is confined as the agent is, and agents keep their CPUs."""
    cluster = the("RayCluster", overlay)
    for pod in created_pods(cluster):
        assert [verdict for version in VERSIONS if (verdict := kubernetes_errors(pod.manifest(), version))] == []
        assert qos(pod) == "Guaranteed"
        for container in pod.containers():
            names = [each["name"] for each in container.get("env", [])]
            assert len(names) == len(set(names))
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        waits = [each["name"] for each in pod.containers()].count("wait-gcs-ready")
        assert waits == (pod.component == "agent")


def test_qos_is_reckoned_as_the_kubelet_does() -> None:
    """One container without a limit is enough to lose the CPUs."""

    def of(*resources: Json) -> str:
        containers = [{"name": str(number), "resources": each} for number, each in enumerate(resources)]
        return qos(Pod(owner="", metadata={}, spec={"containers": containers}))

    full = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "2000m", "memory": "1024Mi"}}
    assert of(full) == of({"limits": full["limits"]}) == "Guaranteed"
    assert of({}) == "BestEffort"
    assert of(full, {}) == of(full, {"requests": {"cpu": "1"}}) == "Burstable"
    assert of({"limits": full["limits"], "requests": {"cpu": "1"}}) == "Burstable"


def test_one_agent_a_machine(overlay: str) -> None:
    """On the machines that are labelled for it, which the taint keeps free of other pods."""
    spec = the_pod("agent", overlay).spec
    (rule,) = spec["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    assert rule["namespaceSelector"] == {}
    labels = the_pod("agent", overlay).metadata["labels"]
    assert rule["labelSelector"]["matchLabels"].items() <= labels.items()
    taint = {"key": "joulefleet.io/measure", "operator": "Equal", "value": "true", "effect": "NoSchedule"}
    if overlay in RAPL:
        assert spec["nodeSelector"] == {"joulefleet.io/measure": "true"}
        assert spec["tolerations"] == [taint]
    else:
        assert not {"nodeSelector", "tolerations"} & spec.keys()


def test_the_head_and_the_run_are_on_no_measured_machine(overlay: str) -> None:
    """The run is on the head's node, and the head is not where agents are."""
    head, run = the_pod("head", overlay), the_pod("run", overlay)
    (term,) = head.spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchExpressions"] == [{"key": "joulefleet.io/measure", "operator": "NotIn", "values": ["true"]}]
    (rule,) = run.spec["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["labelSelector"]["matchLabels"].items() <= head.metadata["labels"].items()
    assert not any("tolerations" in pod.spec for pod in (head, run))


def test_probes_start_no_python_and_come_seldom(pods: list[Pod]) -> None:
    """All three are given, because KubeRay would add its own, every 5 s."""
    for pod in pods:
        container = main_container(pod)
        probes = {name: container.get(f"{name}Probe") for name in ("startup", "liveness", "readiness")}
        if pod.component == "run":
            assert not any(probes.values())
            continue
        for name, probe in probes.items():
            assert probe is not None
            assert probe["exec"]["command"][:2] == ["/bin/sh", "-c"]
            assert "python" not in str(probe)
            assert name == "startup" or probe["periodSeconds"] >= 60
        assert "lifecycle" not in container
        assert pod.spec["terminationGracePeriodSeconds"] == 60


@pytest.mark.parametrize(("age_s", "alive"), [(0, True), (60, True), (180, False), (None, False)])
def test_a_probe_knows_an_old_heartbeat(tmp_path: Path, age_s: int | None, alive: bool) -> None:  # noqa: FBT001
    """The heartbeat is renewed every 30 s; a missing file fails the probe too."""
    file = tmp_path / "heartbeat"
    if age_s is not None:
        file.touch()
        then = file.stat().st_mtime - age_s
        os.utime(file, (then, then))
    command = main_container(the_pod("agent", "bare-metal"))["livenessProbe"]["exec"]["command"]
    done = subprocess.run(
        command, env={"PATH": os.environ["PATH"], "JOULEFLEET_HEARTBEAT": str(file)}, capture_output=True, check=False
    )
    assert (done.returncode == 0) == alive


def test_an_update_ends_no_trial() -> None:
    """The DaemonSet's agents change only when somebody deletes them."""
    assert the("DaemonSet", "daemonset")["spec"]["updateStrategy"] == {"type": "OnDelete"}


def test_the_daemonset_has_the_agents_of_bare_metal() -> None:
    """Except for the token, which KubeRay gives only to its own pods."""
    ours = copy.deepcopy(the_pod("agent", "daemonset"))
    environment = ours.spec["containers"][0]["env"]
    environment[:] = [each for each in environment if not each["name"].startswith("RAY_AUTH")]
    theirs = the_pod("agent", "bare-metal")
    assert (ours.metadata, ours.spec) == (theirs.metadata, theirs.spec)


# Who writes to the store


def test_only_the_run_writes_to_the_store(overlay: str) -> None:
    """One run at a time, which may be killed and starts again; the head reads on the same node."""
    assert the("PersistentVolumeClaim", overlay)["spec"]["accessModes"] == ["ReadWriteOnce"]
    claim = {"claimName": the("PersistentVolumeClaim", overlay)["metadata"]["name"]}
    for pod in pods_of(render(overlay)):
        found = [each for each in mounts(pod).values() if each.get("persistentVolumeClaim") == claim]
        assert [each["readOnly"] for each in found] == {"run": [False], "head": [True], "agent": []}[pod.component]
    job = the("Job", overlay)["spec"]
    assert (job["parallelism"], job["completions"], job["podReplacementPolicy"]) == (1, 1, "Failed")
    assert job["template"]["spec"]["restartPolicy"] == "OnFailure"
    assert job["backoffLimit"] >= 100


# Hardened


def test_every_container_is_confined(pods: list[Pod]) -> None:
    """No capability and no way to get one, no writable path but its mounts, no access to the API server."""
    for pod in pods:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys()
        assert pod.spec["automountServiceAccountToken"] is False
        assert pod.spec["enableServiceLinks"] is False
        assert pod.spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod.containers():
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert not context.get("privileged")


def test_only_what_reads_the_counters_is_root(pods: list[Pod], overlay: str) -> None:
    """And the init container that makes the host's folders usable to other users."""
    for pod in pods:
        for container in pod.containers():
            context = container["securityContext"]
            who = (context["runAsUser"], context["runAsGroup"])
            if container["name"] == "host-folders":
                assert who == (0, USER)
            elif pod.component == "agent" and overlay in RAPL:
                assert who == (0, 0)
            else:
                assert who == (USER, USER)
                assert context["runAsNonRoot"] is True


def test_the_service_account_has_no_rights(documents: tuple[Json, ...], pods: list[Pod]) -> None:
    """No role is bound to it, and no pod gets its token."""
    assert not any("Role" in document["kind"] for document in documents)
    assert {pod.spec["serviceAccountName"] for pod in pods} == {"joulefleet"}


# A pod's container on an engine


def test_an_agent_becomes_docker_arguments() -> None:
    """With the same user, confinement, mounts and limits."""
    around = Surroundings(
        host_paths={"/sys/devices/virtual/powercap": "/made/powercap", "/run/joulefleet": "/made/host"},
        fields={"status.podIP": "192.0.2.9", "spec.nodeName": "one"},
        secrets={"joulefleet": {"auth_token": "t"}},
        images={"joulefleet-agent:0.1.0": "agent:test"},
    )
    arguments = docker_arguments(the_pod("agent", "daemonset"), "ray-worker", around)
    options, command = arguments[: arguments.index("agent:test")], arguments[arguments.index("agent:test") + 1 :]
    assert command == ["node", "up", "--join", "joulefleet-head-svc:6379", "--listen", "192.0.2.9", "--foreground"]
    pairs = set(pairwise(options))
    assert {"--read-only", "--init"} <= set(options)
    assert pairs >= {
        ("--user", "0:0"),
        ("--cap-drop", "ALL"),
        ("--security-opt", "no-new-privileges:true"),
        ("--stop-timeout", "60"),
        ("--cpus", "2"),
        ("--memory", str(8 * 1024**3)),
        ("--env", "RAY_AUTH_TOKEN=t"),
        ("--env", "JOULEFLEET_MACHINE_NAME=one"),
        ("--volume", "/made/powercap:/host/powercap:ro"),
        ("--volume", "/made/host:/run/joulefleet"),
        ("--volume", "/etc/machine-id:/host/machine-id:ro"),
        ("--tmpfs", f"/dev/shm:mode=1777,exec,size={256 * 1024**2},uid=0,gid=0"),  # noqa: S108
    }


def test_a_run_becomes_docker_arguments() -> None:
    """Its claim becomes a folder, and studies that nobody made become an empty one."""
    around = Surroundings(
        claims={"joulefleet-store": "/made/store"},
        fields={"status.podIP": "192.0.2.9"},
        secrets={"joulefleet": {"auth_token": "t"}},
    )
    arguments = docker_arguments(the_pod("run", "any-node"), "run", around)
    assert "/made/store:/results" in arguments
    assert "/studies:ro" in arguments
    assert arguments[arguments.index("--group-add") + 1] == str(USER)


def test_an_init_container_becomes_docker_arguments() -> None:
    """Its command replaces the image's entry point."""
    arguments = docker_arguments(the_pod("agent", "any-node"), "host-folders")
    assert arguments[arguments.index("--entrypoint") + 1] == "/bin/sh"
    image = arguments.index("joulefleet-agent:0.1.0")
    assert arguments[image + 1] == "-euc"
    assert "$folder" in arguments[image + 2]
