"""The pods of a RayCluster as KubeRay 1.5.1 to 1.7.0 makes them, by its source: no operator runs here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.containers.pods import Json, Pod, pods_of

_FEW = {"cpu": "200m", "memory": "256Mi"}


def created_pods(cluster: Json) -> Iterator[Pod]:
    """Return each pod of the RayCluster with what KubeRay adds to it."""
    for pod in pods_of([cluster]):
        is_head = pod.owner == "RayCluster head"
        ours = pod.spec["containers"][0]
        added = list(_environment(cluster, is_head=is_head))
        spec = {**pod.spec, "containers": [{**ours, "env": [*ours["env"], *added, *_token(cluster)]}]}
        if not is_head:
            spec["initContainers"] = [*pod.spec.get("initContainers", []), _waiting(cluster, ours)]
        yield replace(pod, spec=spec)


def head_service(cluster: Json) -> str:
    """Return the name under which agents look for the head."""
    return f"{cluster['metadata']['name']}-head-svc.{cluster['metadata']['namespace']}.svc.cluster.local"


def _port(cluster: Json) -> str:
    return str(cluster["spec"]["headGroupSpec"]["rayStartParams"].get("port", "6379"))


def _token(cluster: Json) -> list[Json]:
    secret = {"name": cluster["metadata"]["name"], "key": "auth_token"}
    return [
        {"name": "RAY_AUTH_MODE", "value": "token"},
        {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": secret}},
    ]


def _environment(cluster: Json, *, is_head: bool) -> Iterator[Json]:
    service = head_service(cluster)
    if not is_head:
        yield from _where(service)
    yield {"name": "RAY_CLUSTER_NAME", "value": cluster["metadata"]["name"]}
    yield {"name": "RAY_CLUSTER_NAMESPACE", "value": cluster["metadata"]["namespace"]}
    yield {"name": "RAY_CLOUD_INSTANCE_ID", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    yield {"name": "RAY_NODE_TYPE_NAME", "value": "headgroup" if is_head else "agents"}
    yield {"name": "KUBERAY_GEN_RAY_START_CMD", "value": "ray start"}
    yield {"name": "RAY_PORT", "value": _port(cluster)}
    yield {"name": "RAY_ADDRESS", "value": f"{'127.0.0.1' if is_head else service}:{_port(cluster)}"}
    yield {"name": "RAY_USAGE_STATS_KUBERAY_IN_USE", "value": "1"}
    yield {"name": "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE", "value": "1"}


def _where(service: str) -> list[Json]:
    return [{"name": "FQ_RAY_IP", "value": service}, {"name": "RAY_IP", "value": service.partition(".")[0]}]


def _waiting(cluster: Json, agent: Json) -> dict[str, Any]:
    """Return the init container that waits for the head, made as KubeRay makes it."""
    asked = f"ray health-check --address {head_service(cluster)}:{_port(cluster)}"
    return {
        "name": "wait-gcs-ready",
        "image": agent["image"],
        "command": ["/bin/bash", "-c", "--"],
        "args": [f"until {asked} > /dev/null 2>&1; do sleep 5; done"],
        "securityContext": agent["securityContext"],
        "env": [*agent["env"], *_token(cluster), *_where(head_service(cluster))],
        "volumeMounts": agent["volumeMounts"],
        "resources": {"requests": _FEW, "limits": _FEW},
    }
