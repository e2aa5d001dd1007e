"""Pinning of a study's models and items: the digests that the plan and all ids are made of."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agent.host.environment import LABEL, environment_label
from agent.workloads.model_files import TOKENIZER_FILES, folder_digest
from agent.workloads.texts import file_digest, read_texts
from joulefleet.digest import digest
from joulefleet.errors import MachineError, StudyError
from joulefleet.plan.expand import Pinned
from joulefleet.plan.trial import ResolvedModel, ResolvedTask
from joulefleet.study.presets import TASK_PRESETS
from joulefleet.study.spec import NAME_PATTERN as LABEL_PATTERN
from joulefleet.study.spec import Items, Model, Study, Task
from joulefleet.study.validate import tasks_of

_LAYER_KEYS = ("num_hidden_layers", "n_layers", "n_layer", "num_layers")
_ITEMS_VERSION = 1
"""Version of how items are made. Raise it when the same description would give other items."""


def resolve(study: Study, base: Path) -> Pinned:
    """Return `study` with every model and task pinned; relative paths begin at `base`.

    Raises StudyError with everything that is missing or wrong in the files that the study names, and MachineError
    where the environment of this process has a label that no study can name.
    """
    problems: list[str] = []
    models: dict[str, ResolvedModel] = {}
    tasks: dict[str, ResolvedTask] = {}
    for name, task in study.tasks.items():
        try:
            tasks[name] = _task(task, base)
        except StudyError as error:
            problems += [f"tasks.{name}: {problem} {error.cure}" for problem in error.problems]
    for name, model in study.models.items():
        try:
            models[name] = _model(model, base)
            problems += _head_mistakes(name, study, models[name], tasks)
        except StudyError as error:
            problems += [f"models.{name}: {problem} {error.cure}" for problem in error.problems]
    if problems:
        raise StudyError(problems, cure="" if len(problems) == 1 else "Fix these and try again.")
    return Pinned(study=in_its_environment(study), models=models, tasks=tasks)


def in_its_environment(study: Study) -> Study:
    """Return `study` with its environments; where it names none, with that of this process. Raises MachineError."""
    if study.environments:
        return study
    label = environment_label()
    if not re.fullmatch(LABEL_PATTERN, label):
        raise MachineError(
            f"${LABEL} is {label!r}, which is not a valid name of an environment.",
            cure="Use letters and digits, with . _ + - between them.",
        )
    return replace(study, environments=(label,))


def _model(model: Model, base: Path) -> ResolvedModel:
    tokenizer = str((base / model.tokenizer).resolve()) if model.tokenizer else None
    if tokenizer is not None and not Path(tokenizer).is_dir():
        raise StudyError(f"no folder {tokenizer}.", cure="Name the tokenizer's folder.")
    tokenizer_digest = _tokenizer_digest(tokenizer)
    if model.architecture is not None:
        recipe = asdict(model.architecture)
        del recipe["published_as"]
        return ResolvedModel(
            architecture=model.architecture,
            tokenizer=tokenizer,
            tokenizer_digest=tokenizer_digest,
            head="seeded",
            digest=digest(["architecture", recipe]),
            layers=_layers(model.architecture.config),
        )
    if model.hub is not None:
        return ResolvedModel(
            hub=model.hub,
            tokenizer=tokenizer,
            tokenizer_digest=tokenizer_digest,
            head=model.head,
            digest=digest(["hub", asdict(model.hub)]),
        )
    folder = (base / (model.path or "")).resolve()
    return ResolvedModel(
        path=str(folder),
        tokenizer=tokenizer,
        tokenizer_digest=tokenizer_digest or _tokenizer_digest(str(folder)),
        head=model.head,
        digest=folder_digest(folder),
        layers=_layers(_config(folder)),
    )


def _tokenizer_digest(folder: str | None) -> str | None:
    if folder is None:
        return None
    files = sorted(file for pattern in TOKENIZER_FILES for file in Path(folder).glob(pattern))
    return digest([[file.name, file_digest(file)] for file in files]) if files else None


def _task(task: Task, base: Path) -> ResolvedTask:
    preset = TASK_PRESETS.get(task.preset or "")
    inputs = task.inputs or (preset.inputs if preset else "single")
    labels = task.labels if task.labels is not None else (preset.labels if preset else 1)
    items, content = _items(task, base)
    return ResolvedTask(
        inputs=inputs,
        labels=labels,
        metric=task.metric or (preset.metric if preset else None),
        max_length=task.max_length,
        items=items,
        digest=digest([_ITEMS_VERSION, content]),
    )


def _items(task: Task, base: Path) -> tuple[Items, Any]:
    """Return the items with absolute paths and the preset's lengths, and the data that identifies them."""
    preset = TASK_PRESETS.get(task.preset or "")
    given = task.items
    if given.synthetic is not None:
        full = replace(given.synthetic, lengths=given.synthetic.lengths or (preset.lengths if preset else None))
        return Items(synthetic=full), {"synthetic": asdict(full)}
    if given.file is not None:
        path = (base / given.file.path).resolve()
        read_texts(path, given.file)
        columns = asdict(given.file)
        del columns["path"]
        return Items(file=replace(given.file, path=str(path))), {"file": file_digest(path), **columns}
    assert given.hub is not None
    return given, {"hub": asdict(given.hub)}


def _head_mistakes(name: str, study: Study, model: ResolvedModel, tasks: dict[str, ResolvedTask]) -> list[str]:
    """Return a message for each task whose number of labels is not that of the head in the model's folder."""
    if model.path is None or model.head != "own":
        return []
    config = _config(Path(model.path))
    names = config.get("id2label")
    labels = len(names) if isinstance(names, dict) and names else int(config.get("num_labels", 2))
    return [
        f"models.{name}: its head has {labels} labels, task {task} has {tasks[task].labels}; "
        f"name the tasks it can do under `tasks:`, or say `head: seeded`."
        for task in tasks_of(study, study.models[name])
        if task in tasks and tasks[task].labels != labels
    ]


def _config(folder: Path) -> dict[str, Any]:
    try:
        data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{folder}/config.json cannot be read ({error}).", cure="Fix the folder.") from error
    return data if isinstance(data, dict) else {}


def _layers(config: dict[str, Any]) -> int | None:
    """Return the number of hidden layers, None where the configuration does not have it."""
    return next((config[key] for key in _LAYER_KEYS if isinstance(config.get(key), int)), None)
