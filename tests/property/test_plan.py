from collections import Counter
from dataclasses import replace
from itertools import chain, pairwise

from hypothesis import given
from hypothesis import strategies as st

from joulefleet.plan.design import Design, PlannedBlock
from joulefleet.plan.expand import Pinned, cells, comparands, original, passes_key
from joulefleet.plan.trial import Cell, Trial
from joulefleet.study.spec import Study, Thresholds
from tests.property.strategies import SEEDS, pilot_durations, pin, studies

Prepared = tuple[Pinned, dict[int, float]]


@st.composite
def prepared(draw: st.DrawFn) -> Prepared:
    """Draw a pinned study and the durations that its pilots measured: all that a plan needs besides the machine."""
    pinned = pin(draw(studies()))
    return pinned, draw(pilot_durations(pinned.study))


def plan(prepared: Prepared, machine_id: str = "m1") -> list[PlannedBlock]:
    """Return the whole plan of one machine."""
    pinned, pass_s = prepared
    design = Design(pinned, store_id="store")
    return [*design.blocks(machine_id, design.passes(pass_s))]


def changed(prepared: Prepared, study: Study) -> Prepared:
    """Return the same with another study of the same models and tasks."""
    pinned, pass_s = prepared
    return replace(pinned, study=study), pass_s


def trials(plan: list[PlannedBlock]) -> list[Trial]:
    """Return all trials, in the order in which they run."""
    return [*chain.from_iterable(block.trials for block in plan)]


def ids(plan: list[PlannedBlock]) -> dict[tuple[Cell, int], str]:
    """Return trial ids by cell and repetition."""
    return {(trial.cell, trial.block): trial.trial_id for trial in trials(plan)}


@given(prepared())
def test_the_same_seed_gives_the_same_plan(prepared: Prepared) -> None:
    """A plan is a pure function: made twice it is equal, order included."""
    assert plan(prepared) == plan(prepared)


@given(prepared(), SEEDS)
def test_ids_do_not_depend_on_the_order(prepared: Prepared, seed: int) -> None:
    """Another seed runs the same trials in another order, and trials that are finished stay finished."""
    study = prepared[0].study
    assert ids(plan(changed(prepared, replace(study, seed=seed)))) == ids(plan(prepared))


@given(prepared(), st.floats(min_value=0.1, max_value=100), st.floats(min_value=1, max_value=1e5))
def test_ids_do_not_depend_on_thresholds_or_time_limits(prepared: Prepared, percent: float, timeout_s: float) -> None:
    """Flags and time limits change no measured value, so they change no identity."""
    study = prepared[0].study
    thresholds = Thresholds(foreign_cpu_percent=percent)
    other = replace(study, thresholds=thresholds, measure=replace(study.measure, timeout_s=timeout_s))
    assert ids(plan(changed(prepared, other))) == ids(plan(prepared))


@given(prepared(), st.integers(1, 5))
def test_more_repetitions_only_append(prepared: Prepared, more: int) -> None:
    """A study that grows keeps every block it had, to the last field."""
    study = prepared[0].study
    longer = plan(changed(prepared, replace(study, repetitions=study.repetitions + more)))
    assert len(longer) == study.repetitions + more
    assert longer[: study.repetitions] == plan(prepared)


@given(prepared())
def test_a_block_holds_every_cell_once(prepared: Prepared) -> None:
    """A block is one repetition of every cell, numbered from 1 in the order in which they run."""
    for number, block in enumerate(plan(prepared), start=1):
        assert block.number == number
        assert Counter(trial.cell for trial in block.trials) == Counter(cells(prepared[0].study))
        assert [trial.position for trial in block.trials] == list(range(1, len(block.trials) + 1))
        assert {trial.block for trial in block.trials} == {number}


@given(prepared())
def test_no_cell_follows_itself_and_each_knows_what_came_before(prepared: Prepared) -> None:
    """This holds from one block to the next too, where there are two cells or more."""
    run = trials(plan(prepared))
    assert run[0].predecessor is None
    for before, after in pairwise(run):
        assert after.predecessor == str(before.cell)
        assert before.cell != after.cell or len(cells(prepared[0].study)) == 1


@given(prepared(), st.lists(st.sampled_from(["m1", "m2", "m3", "m4"]), max_size=6))
def test_other_machines_change_nothing_in_a_plan(prepared: Prepared, others: list[str]) -> None:
    """Machines that are planned before, and between the blocks of this one, leave its plan alone."""
    pinned, pass_s = prepared
    alone = plan(prepared)
    with_others = []
    design = Design(pinned, store_id="store")
    for block in design.blocks("m1", design.passes(pass_s)):
        with_others.append(block)
        for other in others:
            list(design.blocks(other, design.passes(pass_s)))
    assert with_others == alone


@given(prepared())
def test_no_two_trials_share_an_id(prepared: Prepared) -> None:
    """Ids differ within a machine, between machines, and between trials and pilots."""
    design = Design(prepared[0], store_id="store")
    everything = [
        *trials(plan(prepared, "m1")),
        *trials(plan(prepared, "m2")),
        *(design.trial(cell, kind="pilot", place="m1") for cell in range(len(design.cells))),
    ]
    assert len({trial.trial_id for trial in everything}) == len(everything)


@given(prepared())
def test_both_of_a_pair_do_equal_work(prepared: Prepared) -> None:
    """The protocols of a pair differ in the model alone; in the 2x proof also in how often an item is worked."""
    study = prepared[0].study
    protocols = {trial.cell: trial.protocol for trial in plan(prepared)[0].trials}
    for comparand in comparands(study):
        for cell, protocol in protocols.items():
            if cell.model != comparand.student:
                continue
            teachers = protocols[replace(cell, model=comparand.teacher)]
            expected = replace(teachers, model=protocol.model, item_repeats=2 if comparand.kind == "twice" else 1)
            assert protocol == expected


@given(prepared())
def test_cells_that_share_their_passes_differ_in_the_model_alone(prepared: Prepared) -> None:
    """Passes are shared by the models that are compared, never by two tasks or two levels of a factor."""
    study = prepared[0].study
    related = {name: {name} for name in study.models}
    for _ in study.models:
        for pair in study.pairs.values():
            related[pair.teacher] = related[pair.student] = related[pair.teacher] | related[pair.student]
    for one in cells(study):
        for other in cells(study):
            equal_but_model = replace(one, model=other.model) == other
            compared = original(study, other.model)[0] in related[original(study, one.model)[0]]
            assert (passes_key(study, one) == passes_key(study, other)) == (equal_but_model and compared)
