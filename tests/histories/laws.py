"""Laws that hold after every history of a fleet, once its faults have ended."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

from coordinator.campaign.campaign import CampaignResult
from coordinator.scheduling.attempt import AGENT_LOST, DETERMINISTIC, AttemptFact
from coordinator.scheduling.block import COHERENT_S, MOST_DETERMINISTIC, MOST_INFRASTRUCTURE
from coordinator.scheduling.scheduler import LOSSES_OF_A_TRIAL
from joulefleet.plan.design import Design
from joulefleet.plan.trial import Trial
from tests.histories.stage import Stage
from tests.support.fleet_faults import AWAY_S
from tests.support.simulated_outcomes import fact_in

SLACK_S = 300.0


def check(stage: Stage) -> None:
    """End the faults, run to the end, and check every law."""
    world, fate = stage.world, stage.fate
    if any(not host.here and not host.gone for host in world.hosts):
        # Hosts come back by themselves, some after hours.
        world.sleep(max(AWAY_S))
    fate.heal()
    world.sleep(60.0)
    design, ended = stage.design, None
    # A machine that restarts in a trial often enough is set aside for the rest of a run.
    for _ in range(1 if world.deadly is None else 1 + 2 * design.repetitions):
        ended = stage.run()
        if ended is not None and ended.missing == 0:
            break
    assert ended is not None, "a run in which all is well could not go on"
    assert ended.missing == 0, f"{ended} when all is well"
    begun = len(world.starts)
    again = stage.run()
    assert again is not None
    assert (again.total, again.ok, again.failed) == (ended.total, ended.ok, ended.failed)
    assert len(world.starts) == begun, "a study that is done was run again"
    facts = [fact_in(data) for data in stage.disk.files.values()]
    chosen = accepted(design, facts)
    nothing_finished_is_lost(stage)
    every_planned_trial_has_one_accepted_row(stage, ended, design, chosen)
    compared_rows_lie_in_one_round_of_one_machine(design, chosen)
    a_round_lies_in_one_boot_and_has_no_long_gap(stage, design, facts)
    no_trial_is_given_up_without_a_cause(stage, facts)
    no_failure_stands_before_it_was_tried_again(stage, facts, chosen)
    within_a_block_the_order_is_the_plans(stage)
    no_more_was_run_than_what_happened_explains(stage)


def accepted(design: Design, facts: Sequence[AttemptFact]) -> dict[str, AttemptFact]:
    """Return the accepted attempt of each trial, by the text of the rule instead of its SQL."""
    trials: dict[str, list[AttemptFact]] = {}
    for fact in facts:
        if fact.kind == "trial":
            trials.setdefault(fact.trial_id, []).append(fact)
    # Attempts by one protocol are of one group, and those of a group have one digest of companions.
    group_of = {cell: number for number, group in enumerate(design.groups) for cell in group}
    chosen = {}
    for trial_id, attempts in trials.items():
        number = design.number.get(attempts[0].cell)
        if number is None or design.digest(number, attempts[0].passes) != attempts[0].protocol:
            continue
        group = design.groups[group_of[number]]
        by_round: dict[tuple[int, str], set[str]] = {}
        for other in facts:
            cell = design.number.get(other.cell)
            if (
                cell in group
                and (other.kind, other.place, other.block) == ("trial", attempts[0].place, attempts[0].block)
                and other.protocol == design.digest(cell, other.passes)
            ):
                by_round.setdefault((other.round, other.machine_id), set()).add(other.trial_id)
        whole = [fact for fact in attempts if len(by_round[fact.round, fact.machine_id]) >= len(group)]
        newest = max(fact.round for fact in whole or attempts)
        best = [fact for fact in whole or attempts if fact.round == newest]
        chosen[trial_id] = min(best, key=lambda fact: (not fact.ok, fact.attempt, fact.attempt_id))
    return chosen


def nothing_finished_is_lost(stage: Stage) -> None:
    """Check that what was durable on a disk is in the store, or still on the disk of a host that is away."""
    by_id: dict[str, set[bytes]] = {}
    for host in stage.world.hosts:
        for attempt_id, data in host.durable.items():
            if host.here:
                assert attempt_id in stage.disk.files, f"{attempt_id} was finished and is lost"
            else:
                assert attempt_id in stage.disk.files or attempt_id in host.shelf.waiting(), f"{attempt_id} is lost"
            by_id.setdefault(attempt_id, set()).add(data)
    for attempt_id, data in stage.disk.files.items():
        if attempt_id in by_id and "twin" not in stage.world.happened:
            assert data in by_id[attempt_id], f"the row of {attempt_id} is not the one that was measured"


def every_planned_trial_has_one_accepted_row(
    stage: Stage, ended: CampaignResult, design: Design, chosen: dict[str, AttemptFact]
) -> None:
    """Check that, and that the coordinator counts as the views do."""
    here = {host.machine_id for host in stage.world.hosts if host.here}
    found: Counter[tuple[str, int, int]] = Counter()
    outcomes: Counter[bool] = Counter()
    places = set()
    for fact in chosen.values():
        if fact.block > design.repetitions or not (stage.history.any_machine or fact.place in here):
            continue
        places.add(fact.place)
        found[fact.place, fact.block, design.number[fact.cell]] += 1
        outcomes[fact.ok] += 1
    expected = len(places) * design.repetitions * len(design.cells)
    assert len(places) == (1 if stage.history.any_machine else len(here))
    assert len(found) == expected == ended.total
    assert set(found.values()) == {1}, "a trial is counted twice"
    assert (ended.ok, ended.failed) == (outcomes[True], outcomes[False])


def compared_rows_lie_in_one_round_of_one_machine(design: Design, chosen: dict[str, AttemptFact]) -> None:
    """Check that no comparison is of two days or two machines."""
    group_of = {cell: number for number, group in enumerate(design.groups) for cell in group}
    where: dict[tuple[str, int, int], set[tuple[int, str]]] = {}
    for fact in chosen.values():
        if fact.block <= design.repetitions:
            group = group_of[design.number[fact.cell]]
            where.setdefault((fact.place, fact.block, group), set()).add((fact.round, fact.machine_id))
    for at, rounds in where.items():
        assert len(rounds) == 1, f"place, block and group {at} are compared over {sorted(rounds)}"


def a_round_lies_in_one_boot_and_has_no_long_gap(stage: Stage, design: Design, facts: Sequence[AttemptFact]) -> None:
    """Check that by true time. Where a clock was set, nobody can know how long a block has rested."""
    ended_s: dict[str, float] = {}
    for host in stage.world.hosts:
        ended_s |= host.ended_s
    rounds: dict[tuple[str, str, int, int], list[AttemptFact]] = {}
    for fact in facts:
        number = design.number.get(fact.cell)
        if (
            fact.kind == "trial"
            and fact.attempt_id in ended_s
            and number is not None
            and fact.protocol == design.digest(number, fact.passes)
        ):
            rounds.setdefault((fact.place, fact.machine_id, fact.block, fact.round), []).append(fact)
    clocks_are_right = {"coordinator's clock", "agent's clock", "twin"}.isdisjoint(stage.world.happened)
    for at, mine in rounds.items():
        if clocks_are_right:
            times = sorted(ended_s[fact.attempt_id] for fact in mine)
            longest = max((after - before for before, after in itertools.pairwise(times)), default=0.0)
            assert longest < COHERENT_S + SLACK_S, f"round {at} rested for {longest / 3600:.1f} h"
        if "twin" not in stage.world.happened:
            assert len({fact.boot_id for fact in mine}) == 1, f"round {at} goes over a restart"


def no_trial_is_given_up_without_a_cause(stage: Stage, facts: Sequence[AttemptFact]) -> None:
    """Check for three losses of an agent for each trial given up, which has a row in each later round of its block."""
    lost = len({fact.trial_id for fact in facts if fact.reason == AGENT_LOST})
    if stage.world.deadly is None:
        assert LOSSES_OF_A_TRIAL * lost <= stage.world.happened.total(), f"{lost} trials lost for good"


def no_failure_stands_before_it_was_tried_again(
    stage: Stage, facts: Sequence[AttemptFact], chosen: dict[str, AttemptFact]
) -> None:
    """Check that a failure of the work came twice, or once if its cell is in quarantine in another block.

    Any other failure must have come three times. A trial whose agent was then lost for good was tried often enough,
    and trials of a machine that has left are not done.
    """
    lost = {fact.trial_id for fact in facts if fact.reason == AGENT_LOST}
    gone = {host.machine_id for host in stage.world.hosts if not host.here}
    work: Counter[str] = Counter()
    other: Counter[str] = Counter()
    for fact in facts:
        if not fact.ok and fact.reason != AGENT_LOST:
            (work if fact.reason in DETERMINISTIC else other)[fact.trial_id] += 1
    poor = {(fact.place, fact.cell) for fact in facts if work[fact.trial_id] >= MOST_DETERMINISTIC}
    for trial_id, fact in chosen.items():
        if not fact.ok and trial_id not in lost and fact.place not in gone:
            enough = 1 if (fact.place, fact.cell) in poor else MOST_DETERMINISTIC
            tried = work[trial_id] >= enough or other[trial_id] >= MOST_INFRASTRUCTURE
            assert tried, f"the failure of {fact.attempt_id} stands after {work[trial_id]} + {other[trial_id]} tries"


def within_a_block_the_order_is_the_plans(stage: Stage) -> None:
    """Check that a cell waits only where it would follow itself, and a retry until all others were tried."""
    first: dict[tuple[int, str, int, int], list[Trial]] = {}
    for start in stage.world.starts:
        trial = start.trial
        if trial.kind != "trial":
            continue
        if trial.attempt == 1:
            mine = first.setdefault((start.epoch, start.machine_id, trial.block, trial.round), [])
            if all(trial.cell != other.cell for other in mine):
                mine.append(trial)
        elif not stage.history.any_machine and "grow" not in stage.world.happened:
            assert start.untried <= {trial.predecessor}, f"a retry before {sorted(start.untried)} were tried"
    for trials in first.values():
        for before, after in itertools.combinations(trials, 2):
            waited = before.predecessor == str(after.cell)
            assert before.position < after.position or waited, f"{after.cell} came after {before.cell}"


def no_more_was_run_than_what_happened_explains(stage: Stage) -> None:
    """Check that each fault costs at most the open block of each machine, once."""
    design = stage.design
    machines, cells = stage.history.machines, len(design.cells)
    planned = machines * (design.repetitions + 2) * cells
    deadly = 0 if stage.world.deadly is None else 3 * machines * (design.repetitions + 1) * cells
    sick = 0 if stage.world.sick is None else machines * (design.repetitions + 1)
    # When the study grows by a model, its pairs are measured again.
    again = stage.world.happened["grow"] * planned
    most = planned + deadly + sick + again + 2 * machines * cells * stage.world.happened.total()
    assert len(stage.world.starts) <= most, f"{len(stage.world.starts)} starts, where {most} would be many"
