"""Preparation of weights and items on one machine, before anything is measured."""

from __future__ import annotations

import json
from pathlib import Path

import transformers

from agent.workloads.base import PrepareRequest
from agent.workloads.texts import read_texts, text_columns
from agent.workloads.weights import check_head, fetch_from_hub, prepare_weights
from joulefleet.durable import atomic_write
from joulefleet.study.spec import HubItems


def prepare(request: PrepareRequest) -> None:
    """Write or fetch weights and items. Raises ValueError and OSError with what is wrong and the cure."""
    model, labels = request.model, request.task.labels
    if model.architecture is not None or model.head == "seeded":
        prepare_weights(
            model, labels=labels, folder=Path(request.weights_folder), body_folder=Path(request.body_folder)
        )
    elif model.hub is not None:
        folder, link = fetch_from_hub(model.hub.id, model.hub.revision), Path(request.weights_folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(folder)
        check_head(link, labels=labels)
    else:
        check_head(Path(request.weights_folder), labels=labels)
    if request.task.items.hub is not None and request.items_file is not None:
        _fetch_items(request.task.items.hub, Path(request.items_file))
    if request.items_file is not None:
        _check_texts(request, Path(request.items_file))


def _check_texts(request: PrepareRequest, items_file: Path) -> None:
    """Read the texts and load the tokenizer once, so that a mistake is reported before the first trial."""
    items = read_texts(items_file, text_columns(request.task.items))
    folder = request.model.tokenizer or request.model.path or request.weights_folder
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        tokenizer(items[0].text, items[0].text_pair)
    except Exception as error:
        # transformers raises exceptions of many classes for unusable files.
        raise ValueError(
            f"{folder}: no usable tokenizer ({type(error).__name__}); give its folder under `tokenizer:`"
        ) from error


def _fetch_items(items: HubItems, target: Path) -> None:
    if target.exists():
        return
    import datasets

    try:
        rows = datasets.load_dataset(items.id, items.config, split=items.split, revision=items.revision)
    except Exception as error:
        # `datasets` raises exceptions of many libraries.
        raise ValueError(
            f"data set {items.id}@{items.revision[:10]} could not be fetched ({type(error).__name__}: {error}); "
            "check the network and the name, or give the items as a `file:`"
        ) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n")
