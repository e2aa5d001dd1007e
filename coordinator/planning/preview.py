"""What a study would run on this machine: the plan, what of it is done, and how long the rest takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from agent.config import AgentSetup
from coordinator.scheduling.machine_class import machine_class
from coordinator.scheduling.place import Place
from coordinator.store.attempts import facts_in
from joulefleet.durable import write_durably
from joulefleet.errors import MachineError, StoreError
from joulefleet.plan.design import Design, PlannedBlock
from joulefleet.plan.expand import Pinned, brief, expected_trial_s, original
from joulefleet.plan.trial import trial_to_json
from joulefleet.store.layout import StoreLayout, is_empty, read_format
from joulefleet.study.timing import timing

NOWHERE = "no-machine"
"""The machine id in a plan for a machine without an id, or without the agent's extra."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The plan of a study at one place, against one store; made by `look_ahead`, never changed."""

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
    """Time that is still to spend, seconds."""
    measured_passes: bool
    """Whether pilots have fixed the passes; otherwise the windows have the shortest duration allowed."""

    @property
    def total(self) -> int:
        """Trials in the plan."""
        return sum(len(block.trials) for block in self.blocks)


def look_ahead(pinned: Pinned, store: Path, *, must_exist: bool) -> Outlook:
    """Return the outlook of a study on this machine. Raises StoreError where `store` must exist and does not."""
    store_id, facts = None, []
    # An empty folder counts as no store yet: it may be a new volume.
    if must_exist or (store.exists() and not is_empty(store)):
        store_id = read_format(StoreLayout(store))
        facts = facts_in(store, pinned.study.name)
    name = _place(pinned)
    design = Design(pinned, store_id=store_id or "")
    place = Place(name=name, design=design, facts=[fact for fact in facts if fact.place == name])
    passes = design.passes(place.pass_s) if place.passes is None else place.passes
    tally = place.tally()
    return Outlook(
        pinned=pinned,
        machine_id=name,
        store_id=store_id,
        blocks=tuple(design.blocks(name, passes)),
        pilots_to_do=place.pilots_left,
        done=tally.ok + tally.failed,
        failed=tally.failed,
        obsolete=place.obsolete,
        expected_s=_guessed_s(design, place.pass_s, passes) if place.passes is None else place.expected_s(),
        measured_passes=place.passes is not None,
    )


def _guessed_s(design: Design, measured: Mapping[int, float], passes: tuple[int, ...]) -> float:
    """Return how long the whole design takes, seconds, before its pilots have ended."""
    pass_s = _guessed_pass_s(design) | dict(measured)
    every = range(len(design.cells))
    block_s = sum(design.expected_s(cell, passes=passes[cell], pass_s=pass_s.get(cell)) for cell in every)
    left = [cell for cell in every if cell not in measured]
    pilots_s = sum(expected_trial_s(brief(design.protocol(cell, 1)), pass_s=pass_s.get(cell)) for cell in left)
    return design.repetitions * block_s + pilots_s


def _guessed_pass_s(design: Design) -> dict[int, float]:
    """Guess the seconds of a pass by cell: the model with the fewest layers of a group fills the shortest window.

    The others take longer in proportion to their layers. A model whose layers are unknown has no guess.
    """
    study, least_s = design.pinned.study, timing(design.pinned.study).window_at_least_s
    guessed: dict[int, float] = {}
    for group in design.groups:
        work = {}
        for cell in group:
            name, repeats = original(study, design.cells[cell].model)
            layers = design.pinned.models[name].layers
            if layers:
                work[cell] = (layers, repeats)
        fewest = min((layers for layers, _ in work.values()), default=1)
        guessed |= {cell: least_s * (layers / fewest) * repeats for cell, (layers, repeats) in work.items()}
    return guessed


def _place(pinned: Pinned) -> str:
    """Return the place of this machine in the study: its id, or the id of its class."""
    try:
        from agent.host.machine import read_machine

        setup = AgentSetup()
        machine = read_machine(setup.sysfs_root, setup.proc_root)
    except (ImportError, MachineError):
        return NOWHERE
    return machine.machine_id if pinned.study.placement == "every-machine" else machine_class(machine)


def write_trials(outlook: Outlook, folder: Path) -> int:
    """Write each trial as a JSON file, numbered in the order of the plan; return how many. Raises StoreError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trials = [trial for block in outlook.blocks for trial in block.trials]
        for number, trial in enumerate(trials, start=1):
            data = json.dumps(trial_to_json(trial), indent=1, ensure_ascii=False)
            write_durably(folder / f"{number:04d}.json", data.encode())
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror}).", cure="Name another folder.") from error
    return len(trials)
