"""Strategies that draw studies and trials, and a way to pin a study without reading files."""

from dataclasses import replace

from hypothesis import strategies as st

from joulefleet.digest import digest
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned, cells
from joulefleet.plan.trial import ResolvedModel, ResolvedTask, Trial
from joulefleet.study.presets import TASK_PRESETS
from joulefleet.study.spec import Architecture, Factors, Measure, Model, Pair, ProofArm, Proofs, Study, Task, Window
from joulefleet.study.validate import check_study

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)
SEEDS = st.integers(min_value=0, max_value=2**53 - 1)


def pin(study: Study) -> Pinned:
    """Return `study` with made-up digests of its weights and items."""
    models = {
        name: ResolvedModel(architecture=model.architecture, head=model.head, digest=digest(["weights", name]))
        for name, model in study.models.items()
    }
    tasks = {}
    for name, task in study.tasks.items():
        preset = TASK_PRESETS[task.preset or ""]
        tasks[name] = ResolvedTask(
            inputs=preset.inputs,
            labels=preset.labels,
            metric=preset.metric,
            max_length=task.max_length,
            items=task.items,
            digest=digest(["items", name]),
        )
    return Pinned(study=study, models=models, tasks=tasks)


@st.composite
def studies(draw: st.DrawFn) -> Study:
    """Draw a study without mistakes, of up to four models, three tasks and a few levels of each factor."""
    models = draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))
    tasks = draw(st.lists(st.sampled_from(sorted(TASK_PRESETS)), min_size=1, max_size=3, unique=True))
    pairs = draw(st.dictionaries(NAMES, st.permutations(models), max_size=2)) if len(models) > 1 else {}
    arms = st.lists(st.builds(ProofArm, model=st.sampled_from(models), task=st.sampled_from(tasks)), max_size=2)
    study = Study(
        name=draw(NAMES),
        seed=draw(SEEDS),
        regime="burst",
        repetitions=draw(st.integers(1, 6)),
        models={name: Model(architecture=Architecture(model_type="bert")) for name in models},
        tasks={name: Task(preset=name) for name in tasks},
        pairs={name: Pair(teacher=order[0], student=order[1]) for name, order in pairs.items()},
        factors=Factors(
            batch_size=tuple(draw(st.lists(st.integers(1, 64), min_size=1, max_size=2, unique=True))),
            dtype=draw(st.sampled_from([("float32",), ("float32", "bfloat16")])),
        ),
        measure=Measure(window=Window(passes=draw(st.none() | st.integers(1, 99)))),
        proofs=Proofs(a_a=tuple(draw(arms)), twice=tuple(draw(arms))),
    )
    assert check_study(study) == []
    return study


@st.composite
def pilot_durations(draw: st.DrawFn, study: Study) -> dict[int, float]:
    """Draw the seconds of a pass by cell; the pilots of some cells have failed."""
    seconds = st.none() | st.floats(min_value=1e-4, max_value=10)
    drawn = {cell: draw(seconds) for cell in range(len(cells(study)))}
    return {cell: value for cell, value in drawn.items() if value is not None}


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    """Draw one attempt at a trial of a drawn plan."""
    study = replace(draw(studies()), labels=draw(st.dictionaries(TEXT, TEXT, max_size=2)))
    pinned = pin(study)
    design = Design(pinned, store_id=draw(NAMES))
    plan = design.blocks(draw(NAMES), design.passes(draw(pilot_durations(study))))
    trial = draw(st.sampled_from([trial for block in plan for trial in block.trials]))
    return replace(
        trial,
        attempt=draw(st.integers(1, 9)),
        round=draw(st.integers(1, 9)),
        timeout_s=draw(st.floats(min_value=0.1, max_value=1e6)),
    )
