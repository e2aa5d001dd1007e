"""The pods of rendered manifests: where they run, their QoS class, and a container of one as `docker run` starts it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Json = Mapping[str, Any]

_SUFFIXES = {"": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3)} | {
    f"{letter}{binary}": Decimal(1024 if binary else 1000) ** power
    for power, letter in enumerate("KMGT", start=1)
    for binary in ("i", "")
}
"""Of Kubernetes' quantities, as far as anybody writes them here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod that an object makes. `owner` names it: RayCluster head, RayCluster agents, Job joulefleet-run."""

    owner: str
    metadata: Json
    spec: Json

    @property
    def component(self) -> str:
        """The pod's part in the fleet: head, agent or run."""
        return str(self.metadata["labels"]["app.kubernetes.io/component"])

    def containers(self) -> list[Json]:
        """All its containers, init containers first."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def container(self, name: str) -> Json:
        """Return the container of that name."""
        (found,) = (each for each in self.containers() if each["name"] == name)
        return found

    def manifest(self) -> dict[str, Any]:
        """The pod as an object of its own."""
        name = re.sub("[^a-z0-9]+", "-", self.owner.lower())
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {**self.metadata, "name": name}, "spec": self.spec}


def pods_of(documents: Sequence[Json]) -> Iterator[Pod]:
    """Return the pods of all objects."""
    for document in documents:
        match document["kind"]:
            case "RayCluster":
                groups = {"head": document["spec"]["headGroupSpec"]}
                groups |= {group["groupName"]: group for group in document["spec"].get("workerGroupSpecs", [])}
                for name, group in groups.items():
                    yield Pod(owner=f"RayCluster {name}", **group["template"])
            case "DaemonSet" | "Job" as kind:
                yield Pod(owner=f"{kind} {document['metadata']['name']}", **document["spec"]["template"])
            case _:
                pass


def quantity(text: str | float) -> Decimal:
    """Return the number in a quantity such as `500m`, `2` or `8Gi`."""
    number = str(text).rstrip("imkKMGT")
    return Decimal(number) * _SUFFIXES[str(text).removeprefix(number)]


def qos(pod: Pod) -> str:
    """Return Guaranteed, Burstable or BestEffort, by the kubelet's rule: over all containers, init containers too."""
    kinds = ("cpu", "memory")
    resources = [each.get("resources", {}) for each in pod.containers()]
    limits = [{kind: each.get("limits", {}).get(kind) for kind in kinds} for each in resources]
    # What has a limit and no request is requested by its limit.
    requests = [
        {kind: each.get("requests", {}).get(kind, limit[kind]) for kind in kinds}
        for each, limit in zip(resources, limits, strict=True)
    ]
    if all(value is None for each in (*limits, *requests) for value in each.values()):
        return "BestEffort"
    same = all(
        limit[kind] is not None and quantity(limit[kind]) == quantity(request[kind])
        for limit, request in zip(limits, requests, strict=True)
        for kind in kinds
    )
    return "Guaranteed" if same else "Burstable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a cluster provides to a pod, and an engine must be told."""

    host_paths: Mapping[str, str] = field(default_factory=dict)
    """For each hostPath, what of this machine to mount in its stead. One that is not named is mounted as it is."""
    claims: Mapping[str, str] = field(default_factory=dict)
    """For each PersistentVolumeClaim a folder or a volume of the engine."""
    config_maps: Mapping[str, str] = field(default_factory=dict)
    """For each ConfigMap a folder with its files. An optional one may be missing."""
    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """For each Secret the values by their keys."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What the Downward API says: status.podIP, spec.nodeName and so on."""
    images: Mapping[str, str] = field(default_factory=dict)
    """The engine's name of an image, where it is not that of the manifest."""
    tmpfs_size: str = "2g"
    """Of an emptyDir that is not in memory and states no size."""


def docker_arguments(pod: Pod, container: str, around: Surroundings | None = None) -> list[str]:
    """Return options, image and command of `docker run`, after the caller's own (name, network, address).

    An engine has no emptyDir on disk: those become tmpfs as well. seccompProfile RuntimeDefault is its default.
    Probes are left out: the caller runs their commands by `docker exec`.
    """
    around = around or Surroundings()
    spec = pod.container(container)
    values = _environment(spec, around)
    command = [_expanded(word, values) for word in spec.get("command", [])]
    arguments = [_expanded(word, values) for word in spec.get("args", [])]
    return [
        *_security(pod.spec, spec),
        *_resources(spec),
        *(option for name, value in values.items() for option in ("--env", f"{name}={value}")),
        *_mounts(pod.spec, spec, around),
        *(["--entrypoint", command[0]] if command else []),
        around.images.get(spec["image"], spec["image"]),
        *command[1:],
        *arguments,
    ]


def _environment(spec: Json, around: Surroundings) -> dict[str, str]:
    values: dict[str, str] = {}
    for each in spec.get("env", []):
        match each:
            case {"value": value}:
                values[each["name"]] = _expanded(value, values)
            case {"valueFrom": {"fieldRef": {"fieldPath": path}}}:
                values[each["name"]] = around.fields[path]
            case {"valueFrom": {"secretKeyRef": {"name": name, "key": key}}}:
                values[each["name"]] = around.secrets[name][key]
            case _:
                raise NotImplementedError(each)
    return values


def _expanded(text: str, values: Mapping[str, str]) -> str:
    """Replace $(NAME) by its value where it is known, and $$ by a dollar sign, as the kubelet does."""

    def value(found: re.Match[str]) -> str:
        return "$" if found[0] == "$$" else values.get(found[1], found[0])

    return re.sub(r"\$\$|\$\(([A-Za-z_][A-Za-z0-9_]*)\)", value, text)


def _context(pod: Json, spec: Json) -> Json:
    """Return the security context: a container's own settings precede those of its pod."""
    merged: Json = pod.get("securityContext", {}) | spec.get("securityContext", {})
    return merged


def _owner(context: Json) -> str:
    names = {"uid": "runAsUser", "gid": "runAsGroup"}
    return "".join(f",{option}={context[name]}" for option, name in names.items() if name in context)


def _security(pod: Json, spec: Json) -> Iterator[str]:
    context = _context(pod, spec)
    yield from _user(context)
    capabilities = context.get("capabilities", {})
    for option, names in (("--cap-drop", capabilities.get("drop", [])), ("--cap-add", capabilities.get("add", []))):
        for name in names:
            yield from (option, name)
    if context.get("allowPrivilegeEscalation") is False:
        yield from ("--security-opt", "no-new-privileges:true")
    if context.get("readOnlyRootFilesystem"):
        yield "--read-only"
    if pod.get("shareProcessNamespace"):
        # There the pause container is the first process, and reaps.
        yield "--init"
    if "terminationGracePeriodSeconds" in pod:
        yield from ("--stop-timeout", str(pod["terminationGracePeriodSeconds"]))


def _user(context: Json) -> Iterator[str]:
    user, group = context.get("runAsUser"), context.get("runAsGroup")
    if user is not None:
        # Without a group the kubelet takes the image's, as the engine does.
        yield from ("--user", str(user) if group is None else f"{user}:{group}")
    for each in (*context.get("supplementalGroups", []), *([context["fsGroup"]] if "fsGroup" in context else [])):
        yield from ("--group-add", str(each))


def _resources(spec: Json) -> Iterator[str]:
    limits = spec.get("resources", {}).get("limits", {})
    if "cpu" in limits:
        yield from ("--cpus", f"{quantity(limits['cpu']).normalize():f}")
    if "memory" in limits:
        yield from ("--memory", str(int(quantity(limits["memory"]))))


def _mounts(pod: Json, spec: Json, around: Surroundings) -> Iterator[str]:
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in spec.get("volumeMounts", []):
        target, read_only = mount["mountPath"], bool(mount.get("readOnly"))
        match volumes[mount["name"]]:
            case {"emptyDir": _} as volume:
                size = volume["emptyDir"].get("sizeLimit")
                size = around.tmpfs_size if size is None else int(quantity(size))
                # An emptyDir can be written by all, and programs in it may run. The engine gives a tmpfs the mode of
                # the image's folder below it, whatever is asked for, so the user has to own it.
                yield from ("--tmpfs", f"{target}:mode=1777,exec,size={size}{_owner(_context(pod, spec))}")
                continue
            case {"hostPath": {"path": path}}:
                source = around.host_paths.get(path, path)
            case {"persistentVolumeClaim": {"claimName": name}}:
                source = around.claims[name]
            case {"configMap": {"name": name} as wanted}:
                if name not in around.config_maps and wanted.get("optional"):
                    yield from ("--tmpfs", f"{target}:ro")
                    continue
                source, read_only = around.config_maps[name], True
            case unknown:
                raise NotImplementedError(unknown)
        yield from ("--volume", f"{source}:{target}{':ro' if read_only else ''}")
