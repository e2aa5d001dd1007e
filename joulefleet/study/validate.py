"""Rules of a study that types cannot express: names that must exist, sources that exclude each other, equal work."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

from joulefleet.errors import did_you_mean
from joulefleet.study.presets import TASK_PRESETS
from joulefleet.study.spec import FileItems, HeadOrigin, HubItems, Lengths, Model, Study, Task
from joulefleet.study.timing import timing
from joulefleet.yamlfile.problems import Mistake
from joulefleet.yamlfile.reader import Location

PROOF_SUFFIXES = {"a_a": "+again", "twice": "+twice"}
"""Endings of the names under which a model runs in a proof: against itself, and with each item worked twice."""


def check_study(study: Study) -> list[Mistake]:
    """Return every mistake in `study`, whose types are right."""
    return [
        *_models(study),
        *_tasks(study),
        *_pairs(study),
        *_proofs(study),
        *_measure(study),
        *_repeated_levels(study),
        *_primary(study),
    ]


def _unknown(what: str, name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known)
    return f"no {what} is named {name!r}" + (f"; {hint}" if hint else ".")


def _models(study: Study) -> Iterator[Mistake]:
    for name, model in study.models.items():
        here: Location = ("models", name)
        given = [key for key in ("architecture", "hub", "path") if getattr(model, key) is not None]
        if len(given) != 1:
            listed = " and ".join(given) if given else "none"
            yield Mistake(
                here,
                f"models.{name}: give exactly one of architecture, hub and path, not {listed}.",
                rests_on=tuple((*here, key) for key in ("architecture", "hub", "path")),
            )
        if name.endswith(tuple(PROOF_SUFFIXES.values())):
            yield Mistake(here, f"models.{name}: names with this ending are kept for the proofs; give it another.")
        if model.path is not None and not model.path.strip():
            yield Mistake((*here, "path"), f"models.{name}.path: is empty.")
        for index, task in enumerate(model.tasks or ()):
            if task not in study.tasks:
                text = f"models.{name}.tasks: {_unknown('task', task, study.tasks)}"
                yield Mistake((*here, "tasks", index), text, rests_on=(("tasks", task),))
        if model.architecture is not None and model.tokenizer is None:
            for task_name in tasks_of(study, model):
                items = study.tasks[task_name].items
                if items.file is not None or items.hub is not None:
                    yield Mistake(
                        here,
                        f"models.{name}: task {task_name} has texts, and an architecture has no tokenizer; "
                        "give `tokenizer:` a folder, or synthetic items to the task.",
                        rests_on=((*here, "tokenizer"), (*here, "tasks"), ("tasks", task_name, "items")),
                    )


def head_of(model: Model) -> HeadOrigin:
    """Return the origin of the model's classification head; an architecture has a seeded one."""
    return "seeded" if model.architecture is not None else model.head


def tasks_of(study: Study, model: Model) -> list[str]:
    """Return the names of the tasks that `model` does, in the order of the study."""
    return [name for name in study.tasks if model.tasks is None or name in model.tasks]


def _tasks(study: Study) -> Iterator[Mistake]:
    for name, task in study.tasks.items():
        here: Location = ("tasks", name)
        if task.preset is not None and task.preset not in TASK_PRESETS:
            yield Mistake((*here, "preset"), f"tasks.{name}.preset: {_unknown('preset', task.preset, TASK_PRESETS)}")
            continue
        if task.preset is None:
            missing = [key for key in ("inputs", "labels") if getattr(task, key) is None]
            if missing:
                yield Mistake(here, f"tasks.{name}: without a preset give {' and '.join(missing)}.")
        yield from _items(name, task, here)


def _items(name: str, task: Task, here: Location) -> Iterator[Mistake]:
    items = task.items
    given = [key for key in ("synthetic", "file", "hub") if getattr(items, key) is not None]
    if len(given) != 1:
        listed = " and ".join(given) if given else "none"
        text = f"tasks.{name}.items: give exactly one of synthetic, file and hub, not {listed}."
        yield Mistake((*here, "items"), text)
        return
    preset = TASK_PRESETS.get(task.preset or "")
    inputs = task.inputs or (preset.inputs if preset else None)
    if items.synthetic is not None:
        lengths = items.synthetic.lengths or (preset.lengths if preset else None)
        if lengths is None:
            text = f"tasks.{name}.items.synthetic: without a preset give lengths."
            yield Mistake((*here, "items"), text, rests_on=(here,))
        else:
            yield from _lengths(name, lengths, inputs, (*here, "items", "synthetic", "lengths"))
    texts: FileItems | HubItems | None = items.file or items.hub
    if texts is not None:
        text = ""
        if inputs == "pair" and texts.text_pair is None:
            text = "a pair of texts needs text_pair, the second column."
        elif inputs == "single" and texts.text_pair is not None:
            text = "text_pair is given, but the task's inputs are single."
        if text:
            yield Mistake((*here, "items"), f"tasks.{name}.items: {text}", rests_on=(here,))


def _lengths(name: str, lengths: Lengths, inputs: str | None, here: Location) -> Iterator[Mistake]:
    if inputs == "pair" and lengths.second is None:
        yield Mistake(here, f"tasks.{name}: lengths of a pair need `second` too.", rests_on=(("tasks", name),))
    for part in ("first", "second"):
        table = getattr(lengths, part)
        if table is None:
            continue
        try:
            points = sorted((float(key), value) for key, value in table.items())
        except ValueError:
            yield Mistake((*here, part), f"tasks.{name}: lengths.{part}: quantiles are numbers from 0 to 100.")
            continue
        quantiles = [quantile for quantile, _ in points]
        where = f"tasks.{name}: lengths.{part}:"
        if not all(0 <= quantile <= 100 for quantile in quantiles):
            yield Mistake((*here, part), f"{where} quantiles are numbers from 0 to 100.")
        elif len(points) < 2 or quantiles[0] != 0 or quantiles[-1] != 100:
            yield Mistake((*here, part), f"{where} give at least the quantiles 0 and 100.")
        elif len(set(quantiles)) != len(quantiles):
            yield Mistake((*here, part), f"{where} a quantile is given twice.")
        elif any(later < earlier for (_, earlier), (_, later) in itertools.pairwise(points)):
            yield Mistake((*here, part), f"{where} the tokens must not fall as the quantile grows.")


def _pairs(study: Study) -> Iterator[Mistake]:
    for name, pair in study.pairs.items():
        here: Location = ("pairs", name)
        unknown = False
        for side in ("teacher", "student"):
            model = getattr(pair, side)
            if model not in study.models:
                unknown = True
                text = f"pairs.{name}.{side}: {_unknown('model', model, study.models)}"
                yield Mistake((*here, side), text, rests_on=(("models", model),))
        if unknown:
            continue
        if pair.teacher == pair.student:
            yield Mistake(here, f"pairs.{name}: teacher and student are the same; see `proofs: a_a` for that.")
            continue
        teacher, student = study.models[pair.teacher], study.models[pair.student]
        if head_of(teacher) != head_of(student):
            yield Mistake(
                here,
                f"pairs.{name}: unequal heads: that of {pair.teacher} is {head_of(teacher)}, "
                f"that of {pair.student} {head_of(student)}; both of a pair do equal work.",
                rests_on=(("models", pair.teacher, "head"), ("models", pair.student, "head")),
            )
        if tasks_of(study, teacher) != tasks_of(study, student):
            yield Mistake(
                here,
                f"pairs.{name}: unequal tasks: {pair.teacher} does {', '.join(tasks_of(study, teacher)) or 'none'}, "
                f"{pair.student} does {', '.join(tasks_of(study, student)) or 'none'}.",
                rests_on=(("models", pair.teacher, "tasks"), ("models", pair.student, "tasks")),
            )


def _proofs(study: Study) -> Iterator[Mistake]:
    for kind in PROOF_SUFFIXES:
        for index, arm in enumerate(getattr(study.proofs, kind)):
            here: Location = ("proofs", kind, index)
            model: Location = ("models", arm.model)
            task: Location = ("tasks", arm.task)
            if arm.model not in study.models:
                yield Mistake(here, f"proofs.{kind}: {_unknown('model', arm.model, study.models)}", rests_on=(model,))
            elif arm.task not in study.tasks:
                yield Mistake(here, f"proofs.{kind}: {_unknown('task', arm.task, study.tasks)}", rests_on=(task,))
            elif arm.task not in tasks_of(study, study.models[arm.model]):
                text = f"proofs.{kind}: {arm.model} does not do {arm.task}."
                yield Mistake(here, text, rests_on=((*model, "tasks"),))


def _measure(study: Study) -> Iterator[Mistake]:
    window = study.measure.window
    if window.passes is not None and window.at_least_s is not None:
        yield Mistake(("measure", "window"), "measure.window: give passes or at_least_s, not both.")
    warm_up = study.measure.warm_up
    if warm_up.at_most_s is not None and warm_up.at_least_s is not None and warm_up.at_most_s < warm_up.at_least_s:
        yield Mistake(("measure", "warm_up"), "measure.warm_up: at_most_s is less than at_least_s.")
    modelled = study.measure.modelled
    if modelled is not None and modelled.busy_w_per_cpu < modelled.idle_w_per_cpu:
        yield Mistake(("measure", "modelled"), "measure.modelled: a busy CPU draws less than an idle one.")
    if study.regime == "sustained" and window.passes is None and timing(study).window_at_least_s < 30:
        yield Mistake(
            ("measure", "window", "at_least_s"),
            "measure.window.at_least_s: a sustained window lasts 30 s or more; for less write `regime: burst`.",
            rests_on=(("regime",), ("measure", "window")),
        )


def _primary(study: Study) -> Iterator[Mistake]:
    for key, what, known in (("pairs", "pair", study.pairs), ("tasks", "task", study.tasks)):
        for index, name in enumerate(getattr(study.primary, key) or ()):
            if name not in known:
                here: Location = ("primary", key, index)
                yield Mistake(here, f"primary.{key}: {_unknown(what, name, known)}", rests_on=((key, name),))


def _repeated_levels(study: Study) -> Iterator[Mistake]:
    levels = {name: getattr(study.factors, name) for name in ("batch_size", "threads", "dtype")}
    for name, values in levels.items():
        if len(set(values)) != len(values):
            yield Mistake(("factors", name), f"factors.{name}: a level is given twice.")
    if len(set(study.environments)) != len(study.environments):
        yield Mistake(("environments",), "environments: one is given twice.")
