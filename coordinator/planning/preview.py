"""What a study would run on this machine: the plan, what of it is done, and how long the rest takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config import AgentSetup
from coordinator.scheduling.design import Design
from coordinator.scheduling.place import Place
from coordinator.store.attempts import facts_in
from joulefleet.durable import write_durably
from joulefleet.errors import MachineError, StoreError
from joulefleet.plan.expand import (
    Pinned,
    PlannedBlock,
    blocks,
    cells,
    expected_trial_s,
    original,
    passes_from_pilot,
    passes_key,
    pilots,
)
from joulefleet.plan.trial import Cell, trial_to_json
from joulefleet.store.layout import StoreLayout, is_empty, read_format
from joulefleet.study.timing import timing

NOWHERE = "no-machine"
"""Stands for the machine's id where it has none, or where the agent's extra is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A plan on one machine, against one store."""

    pinned: Pinned
    machine_id: str
    store_id: str | None
    blocks: tuple[PlannedBlock, ...]
    pilots_to_do: int
    done: int
    failed: int
    obsolete: int
    """Attempts in the store that were measured in another way than the study now asks for."""
    expected_s: float
    measured_passes: bool
    """Whether pilots have fixed the passes; the windows' durations are the study's shortest otherwise."""

    @property
    def total(self) -> int:
        """Trials in the plan."""
        return sum(len(block.trials) for block in self.blocks)


def look_ahead(pinned: Pinned, store: Path, *, must_exist: bool) -> Outlook:
    """The outlook of a study here. Raises StoreError where `store` must exist and does not."""
    store_id, facts = None, []
    # An empty folder is where a store will be: a new volume.
    if must_exist or (store.exists() and not is_empty(store)):
        store_id = read_format(StoreLayout(store))
        facts = facts_in(store, pinned.study.name)
    machine_id = _place(pinned)
    design = Design(pinned, store_id=store_id or "")
    place = Place(name=machine_id, design=design, facts=[fact for fact in facts if fact.place == machine_id])
    known = place.passes is not None
    measured = {design.cells[cell]: seconds for cell, seconds in place.pass_s.items()}
    passes = passes_from_pilot(pinned, measured)
    plan = tuple(blocks(pinned, passes=passes, machine_id=machine_id, store_id=store_id or ""))
    guess = measured if known else _guessed_pass_s(pinned, measured)
    every = [trial for block in plan for trial in block.trials]
    expected = sum(expected_trial_s(trial.protocol, pass_s=guess.get(trial.cell)) for trial in every)
    short = [pilot for pilot in pilots(pinned, machine_id=machine_id, store_id="") if pilot.cell not in measured]
    expected += sum(expected_trial_s(pilot.protocol, pass_s=guess.get(pilot.cell)) for pilot in short)
    tally = place.tally()
    return Outlook(
        pinned=pinned,
        machine_id=machine_id,
        store_id=store_id,
        blocks=plan,
        pilots_to_do=place.pilots_left,
        done=tally.ok + tally.failed,
        failed=tally.failed,
        obsolete=place.obsolete,
        expected_s=place.expected_s() if known else expected,
        measured_passes=known,
    )


def _guessed_pass_s(pinned: Pinned, measured: Mapping[Cell, float]) -> dict[Cell, float]:
    """Before a pilot: the fastest of a group fills the shortest window, the others in proportion to their layers."""
    study, least = pinned.study, timing(pinned.study).window_at_least_s
    layers = {cell: pinned.models[original(study, cell.model)[0]].layers for cell in cells(study)}
    fewest: dict[object, int] = {}
    for cell, count in layers.items():
        if count is not None:
            key = passes_key(study, cell)
            fewest[key] = min(count, fewest.get(key, count))
    guessed = {
        cell: least * (count / fewest[passes_key(study, cell)]) * original(study, cell.model)[1]
        for cell, count in layers.items()
        if count is not None
    }
    return guessed | dict(measured) if study.measure.window.passes is None else dict(measured)


def _place(pinned: Pinned) -> str:
    try:
        from agent.host.machine import read_machine
        from coordinator.scheduling.machine_class import machine_class

        setup = AgentSetup()
        machine = read_machine(setup.sysfs_root, setup.proc_root)
    except (ImportError, MachineError):
        return NOWHERE
    return machine.machine_id if pinned.study.placement == "every-machine" else machine_class(machine)


def write_trials(outlook: Outlook, folder: Path) -> int:
    """Write each trial of the plan as a JSON file, numbered in the order of the plan. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trials = [trial for block in outlook.blocks for trial in block.trials]
        for number, trial in enumerate(trials, start=1):
            data = json.dumps(trial_to_json(trial), indent=1, ensure_ascii=False)
            write_durably(folder / f"{number:04d}.json", data.encode())
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}).", cure="Name another folder.") from error
    return len(trials)
