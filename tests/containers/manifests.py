"""Renders the overlays and validates every object: `python -m tests.containers.manifests` reports. Needs kubectl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # ships no types
import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
from ruamel.yaml import YAML

from tests.containers.pods import Json, pods_of

ROOT = Path(__file__).parents[2]
K8S = ROOT / "k8s"
OVERLAYS = tuple(sorted(folder.name for folder in (K8S / "overlays").iterdir()))
SCHEMA = Path(__file__).with_name("raycluster.schema.json")
CRDS_VARIABLE = "KUBERAY_CRDS"
"""A folder with KubeRay's own definitions, ray.io_rayclusters.yaml: validated against too where it is named."""

VERSIONS = tuple(dict.fromkeys(kubernetes_validate.utils.all_versions()))[-3:]
"""Of Kubernetes: the three newest whose schemas are installed."""


def read_yaml(text: str) -> list[Any]:
    """Return all documents of a file."""
    return [found for found in YAML(typ="safe", pure=True).load_all(text) if found is not None]


@cache
def render(overlay: str) -> tuple[Json, ...]:
    """Return the objects of `k8s/overlays/OVERLAY`, as `kubectl apply -k` would send them."""
    if shutil.which("kubectl") is None:
        raise RuntimeError("kubectl is not installed; its kustomize renders the manifests.")
    done = subprocess.run(
        ["kubectl", "kustomize", str(K8S / "overlays" / overlay)],  # noqa: S607  # wherever it is installed
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"kubectl kustomize {overlay}: {done.stderr.strip()}")
    return tuple(read_yaml(done.stdout))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result of one object against one schema. Without errors it is valid."""

    what: str
    schema: str
    errors: tuple[str, ...]


def judge(documents: Sequence[Json], *, crds: Path | None = None) -> Iterator[Verdict]:
    """Validate every object by every schema of its kind, strictly: an unknown field is an error."""
    for document in documents:
        what = f"{document['kind']} {document['metadata']['name']}"
        if document["kind"] == "RayCluster":
            yield Verdict(
                what=what, schema="our own schema", errors=errors_by(json.loads(SCHEMA.read_text()), document)
            )
            if crds is not None:
                yield Verdict(what=what, schema="KubeRay's definition", errors=errors_by(definition(crds), document))
            for pod in pods_of([document]):
                yield from _by_kubernetes(pod.owner, pod.manifest())
        else:
            yield from _by_kubernetes(what, document)


def _by_kubernetes(what: str, document: Json) -> Iterator[Verdict]:
    for version in VERSIONS:
        yield Verdict(what=what, schema=f"Kubernetes {version}", errors=kubernetes_errors(document, version))


def kubernetes_errors(document: Json, version: str) -> tuple[str, ...]:
    """Return what that version of Kubernetes would refuse or drop."""
    try:
        kubernetes_validate.validate(dict(document), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return (f"{_path(error.path)}: {error.message}",)
    except kubernetes_validate.SchemaNotFoundError as error:
        return (error.message,)
    return ()


@cache
def own_schema() -> Json:
    """Return our own schema of a RayCluster."""
    found: Json = json.loads(SCHEMA.read_text())
    return found


def errors_by(schema: Json, document: Json) -> tuple[str, ...]:
    """Return all errors that the JSON schema finds."""
    found = jsonschema.Draft202012Validator(schema).iter_errors(document)
    return tuple(f"{_path(error.path)}: {error.message}" for error in found)


def _path(parts: Sequence[object]) -> str:
    return ".".join(map(str, parts)) or "the object"


@cache
def definition(crds: Path) -> Json:
    """Return KubeRay's schema of a RayCluster, closed: the API server drops what it does not name."""
    (found,) = read_yaml((crds / "ray.io_rayclusters.yaml").read_text())
    (version,) = (each for each in found["spec"]["versions"] if each["name"] == "v1")
    schema = _closed(version["schema"]["openAPIV3Schema"])
    # The API server knows what metadata is; the definition does not say.
    schema["properties"]["metadata"] = {"type": "object"}
    return schema


def _closed(schema: Json) -> dict[str, Any]:
    closed = dict(schema)
    if closed.pop("x-kubernetes-int-or-string", False):
        return {"anyOf": [{"type": "integer"}, {"type": "string", "pattern": closed.get("pattern", "")}]}
    if "properties" in closed:
        closed["properties"] = {name: _closed(each) for name, each in closed["properties"].items()}
    if "items" in closed:
        closed["items"] = _closed(closed["items"])
    if isinstance(closed.get("additionalProperties"), Mapping):
        closed["additionalProperties"] = _closed(closed["additionalProperties"])
    elif closed.get("type") == "object" and not closed.get("x-kubernetes-preserve-unknown-fields"):
        closed["additionalProperties"] = False
    return closed


def crds_folder() -> Path | None:
    """Return the folder in `$KUBERAY_CRDS`."""
    named = os.environ.get(CRDS_VARIABLE)
    return Path(named) if named else None


def report(overlays: Sequence[str] = OVERLAYS) -> Iterator[tuple[str, bool]]:
    """Return the report, one line for each object and schema, and whether everything is valid."""
    for overlay in overlays:
        yield f"{overlay}: {len(render(overlay))} objects", True
        for verdict in judge(render(overlay), crds=crds_folder()):
            said = "; ".join(verdict.errors) or "ok"
            yield f"  {verdict.what:38} {verdict.schema:20} {said}", not verdict.errors
    if crds_folder() is None:
        yield f"Not asked: KubeRay's own definition. {CRDS_VARIABLE} names a folder with ray.io_rayclusters.yaml.", True


def main() -> int:
    """Print the report."""
    valid = True
    for line, good in report():
        valid = valid and good
        print(line)  # noqa: T201  # it is a program, too
    return 0 if valid else 1


if __name__ == "__main__":
    sys.exit(main())
