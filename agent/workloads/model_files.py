"""The paths of models and items on this machine, and the digest of a model folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from joulefleet.errors import StudyError
from joulefleet.plan.trial import ResolvedModel, ResolvedTask

TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.*",
    "merges.txt",
    "*.model",
)
"""Patterns of the files of a tokenizer."""

_digests: dict[tuple[str, int, int, int], str] = {}


def weights_folder(cache: Path, model: ResolvedModel, *, labels: int) -> Path:
    """Return the model folder: the user's own for a local path with its own head, else one in the cache."""
    if model.path is not None and model.head == "own":
        return Path(model.path)
    name = "hub" if model.head == "own" and model.hub is not None else f"labels-{labels}"
    return body_folder(cache, model) / name


def body_folder(cache: Path, model: ResolvedModel) -> Path:
    """Return the folder of all variants of one model."""
    return cache / "weights" / model.digest


def items_file(cache: Path, task: ResolvedTask) -> Path | None:
    """Return the file of the items' texts; None for synthetic items."""
    if task.items.file is not None:
        return Path(task.items.file.path)
    return cache / "items" / f"{task.digest}.jsonl" if task.items.hub is not None else None


def folder_digest(folder: Path) -> str:
    """Return the SHA-256 of configuration and weights of a model folder.

    A file is hashed again only when its inode, size or modification time has changed. Raises StudyError
    where the folder has no configuration or no safetensors.
    """
    if not (folder / "config.json").is_file():
        raise StudyError(
            f"{folder}: no model folder (it has no config.json).", cure="Give the path of the model's folder."
        )
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        other = any(folder.glob("*.bin")) or any(folder.glob("*.pt"))
        raise StudyError(
            f"{folder}: has no safetensors{', only pickled weights, which are never loaded' if other else ''}.",
            cure="Save the model again with save_pretrained(..., safe_serialization=True).",
        )
    total = hashlib.sha256()
    try:
        for file in [folder / "config.json", *files]:
            total.update(f"{file.name} {_file_digest(file)}\n".encode())
    except OSError as error:
        raise StudyError(
            f"{error.filename}: cannot be read ({error.strerror}).", cure="Give this user the right to read it."
        ) from error
    return total.hexdigest()


def _file_digest(file: Path) -> str:
    status = file.stat()
    key = (str(file.resolve()), status.st_ino, status.st_size, status.st_mtime_ns)
    if key not in _digests:
        with file.open("rb") as content:
            _digests[key] = hashlib.file_digest(content, "sha256").hexdigest()
    return _digests[key]
