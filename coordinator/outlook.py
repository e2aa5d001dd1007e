"""What a study would run on this machine: the plan, what of it is done, and how long the rest takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.setup import AgentSetup
from coordinator.finished import Finished, finished_in
from coordinator.progress import duration_text
from joulefleet.durable import write_durably
from joulefleet.errors import MachineError, StoreError
from joulefleet.plan import (
    Block,
    Pinned,
    blocks,
    cells,
    comparands,
    expected_trial_s,
    original,
    passes_from_pilot,
    passes_key,
    pilots,
)
from joulefleet.store_layout import StoreLayout, read_format
from joulefleet.timing import timing
from joulefleet.trial import Cell, trial_to_json

NOWHERE = "no-machine"
"""Stands for the machine's id where it has none, or where the agent's extra is not installed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """A plan on one machine, against one store."""

    pinned: Pinned
    machine_id: str
    store_id: str | None
    blocks: tuple[Block, ...]
    pilots_to_do: int
    done: int
    failed: int
    expected_s: float
    measured_passes: bool
    """Whether pilots have fixed the passes; the windows' durations are the study's shortest otherwise."""

    @property
    def total(self) -> int:
        """Trials in the plan."""
        return sum(len(block.trials) for block in self.blocks)


def look_ahead(pinned: Pinned, store: Path, *, must_exist: bool) -> Outlook:
    """The outlook of a study here. Raises StoreError where `store` must exist and does not."""
    store_id, finished = None, Finished()
    if must_exist or store.exists():
        store_id = read_format(StoreLayout(store))
        finished = finished_in(store, pinned.study.name)
    machine_id = _machine_id()
    first = pilots(pinned, machine_id=machine_id, store_id=store_id or "")
    measured = {
        trial.cell: done.pass_s
        for trial in first
        if (done := finished.ok(trial)) is not None and done.pass_s is not None
    }
    known = all(finished.next_attempt(trial) is None for trial in first)
    passes = passes_from_pilot(pinned, measured)
    plan = tuple(blocks(pinned, passes=passes, machine_id=machine_id, store_id=store_id or ""))
    trials = [trial for block in plan for trial in block.trials]
    to_do = [trial for trial in trials if finished.next_attempt(trial) is not None]
    pass_s = measured if known else _guessed_pass_s(pinned, measured)
    pilots_to_do = [trial for trial in first if finished.next_attempt(trial) is not None]
    return Outlook(
        pinned=pinned,
        machine_id=machine_id,
        store_id=store_id,
        blocks=plan,
        pilots_to_do=len(pilots_to_do),
        done=len(trials) - len(to_do),
        failed=sum(finished.failed(trial) for trial in trials),
        expected_s=sum(expected_trial_s(trial, pass_s=pass_s.get(trial.cell)) for trial in [*pilots_to_do, *to_do]),
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


def _machine_id() -> str:
    try:
        from agent.machine_record import read_machine

        setup = AgentSetup()
        return read_machine(setup.sysfs_root, setup.proc_root).machine_id
    except (ImportError, MachineError):
        return NOWHERE


def outlook_text(outlook: Outlook) -> str:
    """The outlook for people."""
    study = outlook.pinned.study
    times = timing(study)
    window = study.measure.window.passes
    every = cells(study)
    lines = [
        f"Study {study.name}: {study.description.strip()}".rstrip(": "),
        "",
        (
            f"{len(study.models)} models × {len(study.tasks)} tasks, {len(every)} cells, "
            f"{study.repetitions} blocks = {outlook.total} trials on each machine, regime {study.regime}."
        ),
        f"Each trial: baseline {times.baseline_s:g} s, warm-up {times.warm_up_at_least_s:g} s or more, window "
        + (f"{window} passes" if window else f"{times.window_at_least_s:g} s or more")
        + f", {study.measure.isolation} isolation.",
        "",
        "Compared:",
        *(
            f"  {c.name}: {c.student} / {c.teacher}"
            + (f" (a proof: should be {c.expected_ratio:.2f})" if c.expected_ratio else "")
            for c in comparands(study)
        ),
        "",
        "Order:" + ("" if outlook.machine_id != NOWHERE else " (of a machine without an identity)"),
    ]
    shown = outlook.blocks[:3]
    lines += [f"  block {block.number}: " + ", ".join(str(t.cell) for t in block.trials) for block in shown]
    if len(outlook.blocks) > len(shown):
        lines.append(f"  … and {len(outlook.blocks) - len(shown)} blocks more")
    lines.append("")
    if outlook.pilots_to_do:
        lines.append(f"First {outlook.pilots_to_do} short pilots fix the passes of each window.")
    if outlook.store_id is not None:
        failed = f", {outlook.failed} of them failed" if outlook.failed else ""
        lines.append(f"In the store: {outlook.done} of {outlook.total} trials done{failed}.")
    about = "" if outlook.measured_passes else " (a guess until the pilots have run)"
    lines.append(f"Expected: {duration_text(outlook.expected_s)}{about}.")
    return "\n".join(lines)


def outlook_json(outlook: Outlook) -> dict[str, Any]:
    """The outlook as data."""
    return {
        "study": outlook.pinned.study.name,
        "machine_id": outlook.machine_id,
        "trials": outlook.total,
        "done": outlook.done,
        "failed": outlook.failed,
        "pilots_to_do": outlook.pilots_to_do,
        "expected_s": round(outlook.expected_s, 1),
        "passes_known": outlook.measured_passes,
        "blocks": [
            {
                "block": block.number,
                "trials": [
                    {
                        "position": trial.position,
                        "cell": str(trial.cell),
                        "trial_id": trial.trial_id if outlook.measured_passes else None,
                        "passes": trial.protocol.passes if outlook.measured_passes else None,
                    }
                    for trial in block.trials
                ],
            }
            for block in outlook.blocks
        ],
    }


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
