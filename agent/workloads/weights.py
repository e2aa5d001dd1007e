"""Weight folders: seeded weights are written once, models of the hub fetched once; all are loaded in the same way.

This runs in a process of its own (the runner's request "prepare"), before anything is measured.
"""

from __future__ import annotations

import copy
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file

from agent.workloads.model_files import TOKENIZER_FILES
from joulefleet.durable import rename_durably, temporary_file
from joulefleet.plan.trial import ResolvedModel
from joulefleet.study.spec import Architecture

_BODY, _HEAD = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"
_CANONICAL_LABELS = 2


def prepare_weights(model: ResolvedModel, *, labels: int, folder: Path, body_folder: Path) -> None:
    """Make `folder` a model folder with a head for `labels`, unless it exists already.

    Seeded weights are in two files, of body and head; the body's file in `body_folder` is shared by all heads
    through hard links. Raises ValueError and OSError with what is wrong.
    """
    if (folder / "config.json").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".preparing-"))
    try:
        temporary.chmod(0o755)
        if model.architecture is not None:
            _write_seeded(model.architecture, labels, temporary, body_folder)
        else:
            _write_with_seeded_head(_source_folder(model), labels, temporary)
        try:
            temporary.rename(folder)
        except OSError:
            # Another process may have been faster: its folder has the same content.
            if not (folder / "config.json").exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_head(folder: Path, *, labels: int) -> None:
    """Raise ValueError where the weights in `folder` lack a head for `labels`."""
    model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, local_files_only=True, use_safetensors=True, trust_remote_code=False, output_loading_info=True
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(f"{folder}: its weights lack {', '.join(missing[:3])}; write `head: seeded` for a random head")
    if model.config.num_labels != labels:
        raise ValueError(f"{folder}: its head has {model.config.num_labels} labels, the task has {labels}")


def fetch_from_hub(repository: str, revision: str) -> str:
    """Return the local folder of a hub model's commit, fetched unless it is there already. Raises ValueError."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return str(
            snapshot_download(
                repository, revision=revision, allow_patterns=["*.safetensors", "*.json", "*.txt", "*.model"]
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise ValueError(
            f"{repository}@{revision[:10]} could not be fetched from the hub ({type(error).__name__}); "
            "check the network and the name, or give the model as a `path:`"
        ) from error


def _source_folder(model: ResolvedModel) -> str:
    if model.path is not None:
        return model.path
    assert model.hub is not None
    return fetch_from_hub(model.hub.id, model.hub.revision)


def _config(architecture: Architecture, labels: int) -> Any:
    return transformers.AutoConfig.for_model(architecture.model_type, **architecture.config, num_labels=labels)


def _skeleton(config: Any) -> Any:
    with torch.device("meta"):
        return transformers.AutoModelForSequenceClassification.from_config(config)


def _write_seeded(architecture: Architecture, labels: int, folder: Path, body_folder: Path) -> None:
    config = _config(architecture, labels)
    shapes = {name: tuple(tensor.shape) for name, tensor in _skeleton(config).state_dict().items()}
    head = _head_names(config)
    body = body_folder / _BODY
    if not body.exists():
        _write_body(architecture, body)
    _link_or_copy(body, folder / _BODY)
    torch.manual_seed(architecture.seed)
    tensors = {name: _seeded(name, shapes[name], config) for name in sorted(head)}
    save_file(tensors, folder / _HEAD, metadata={"format": "pt"})
    index = {name: _HEAD if name in head else _BODY for name in _stored_names(body) | head}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index}, indent=1, sort_keys=True)
    )
    config.architectures = [type(_skeleton(config)).__name__]
    config.save_pretrained(folder)


def _write_body(architecture: Architecture, body: Path) -> None:
    """Write the body of the model with two labels, so that it does not depend on the first task's labels."""
    config = _config(architecture, _CANONICAL_LABELS)
    head = _head_names(config)
    torch.manual_seed(architecture.seed)
    model = transformers.AutoModelForSequenceClassification.from_config(config)
    stored: set[int] = set()
    tensors = {}
    for name, tensor in model.state_dict().items():
        # Tied weights are stored once, as save_pretrained does; loading ties them again.
        if name not in head and tensor.data_ptr() not in stored:
            stored.add(tensor.data_ptr())
            tensors[name] = tensor.contiguous()
    body.parent.mkdir(parents=True, exist_ok=True)
    with temporary_file(body) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)
        rename_durably(temporary, body)


def _stored_names(file: Path) -> set[str]:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as content:
        return set(content.keys())


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def _write_with_seeded_head(source: str, labels: int, folder: Path) -> None:
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        source,
        num_labels=labels,
        # The model's own head may have another number of labels; it is replaced anyway.
        ignore_mismatched_sizes=True,
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=False,
    )
    torch.manual_seed(0)
    state = model.state_dict()
    for name in sorted(_head_names(model.config)):
        state[name].copy_(_seeded(name, tuple(state[name].shape), model.config))
    model.save_pretrained(folder)
    for pattern in TOKENIZER_FILES:
        for file in Path(source).glob(pattern):
            shutil.copyfile(file, folder / file.name)


def _head_names(config: Any) -> set[str]:
    """Return the names of the head's tensors: those whose shape depends on the number of labels."""
    one_more = copy.deepcopy(config)
    one_more.num_labels = config.num_labels + 1
    other = _skeleton(one_more).state_dict()
    return {name for name, tensor in _skeleton(config).state_dict().items() if other[name].shape != tensor.shape}


def _seeded(name: str, shape: tuple[int, ...], config: Any) -> torch.Tensor:
    """Return random values as transformers initialises a head: no bias, weights of the configured spread."""
    spread = float(getattr(config, "initializer_range", 0.02))
    return torch.zeros(shape) if name.endswith("bias") else torch.empty(shape).normal_(0, spread)
