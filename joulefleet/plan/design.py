"""The design of a study: its cells by number, which of them are compared, and the order and trials of every place.

This is the only derivation of a plan: `joulefleet plan` lists it, and a run's scheduler hands it out.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from joulefleet.digest import digest
from joulefleet.plan.expand import PassesKey, Pinned, brief, cells, expected_trial_s, original, passes_key
from joulefleet.plan.trial import AttemptKind, Cell, Protocol, Trial, trial_id
from joulefleet.plan.williams import balanced_orders
from joulefleet.study.timing import timing

PASSES_MARGIN = 1.1
"""Ratio of the window that is planned to the shortest allowed: a pilot's pass may be slower than later passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedBlock:
    """One repetition of every cell, in the order in which they run."""

    number: int
    trials: tuple[Trial, ...]


class Design:
    """A pinned study in numbers: a pure function of the study, and of the place where one is named.

    Whoever plans or runs a study owns one and shares it between all places. Cells are numbered from 0 in the
    order in which the study names them, blocks from 1. A run asks for `orders` and `pilot_digest` first, for
    `passes` once the pilots of a place have ended, then for one `trial` after the other; `blocks` lists
    the same trials at once. Nothing here depends on time, on other machines or on what has run, and the
    same arguments always give the same answer. More repetitions append blocks and change none before.
    Protocols and digests are computed once; an instance must not be used by several threads.
    """

    def __init__(self, pinned: Pinned, *, store_id: str) -> None:
        self.pinned = pinned
        self.store_id = store_id
        self.cells: tuple[Cell, ...] = tuple(cells(pinned.study))
        self.number: Mapping[Cell, int] = {cell: number for number, cell in enumerate(self.cells)}
        self.keys: tuple[PassesKey, ...] = tuple(passes_key(pinned.study, cell) for cell in self.cells)
        members: dict[PassesKey, list[int]] = {}
        for number, key in enumerate(self.keys):
            members.setdefault(key, []).append(number)
        self._group: dict[PassesKey, tuple[int, ...]] = {key: tuple(group) for key, group in members.items()}
        self.groups: tuple[tuple[int, ...], ...] = tuple(self._group.values())
        """Cells that are compared with each other, directly or by way of others."""
        self.repetitions = pinned.study.repetitions
        self.has_pilots = pinned.study.measure.window.passes is None
        self._protocols: dict[tuple[int, int], Protocol] = {}
        self._digests: dict[tuple[int, int], str] = {}
        self._pilot_digests: dict[int, str] = {}
        self._templates: dict[tuple[int, int], Trial] = {}

    def orders(self, place: str) -> Iterator[list[int]]:
        """Yield the order of the cells in each block of `place`."""
        study = self.pinned.study
        seed = f"{study.seed}/{study.name}/{place}"
        return itertools.islice(balanced_orders(len(self.cells), seed=seed), self.repetitions)

    def passes(self, pass_s: Mapping[int, float], used: Iterable[tuple[int, int, str]] = ()) -> tuple[int, ...]:
        """Return the passes in the window of each cell: so many that the fastest of its group fills the window.

        `pass_s` is the duration of one pass by cell, seconds; a cell whose pilot failed is missing, and a group
        without any gets one pass. `used` are the trials that exist, as (cell, passes, protocol digest): where
        some were measured as the study asks, their passes stand, so that a pilot's row which arrives late
        cannot make them worthless.
        """
        window = self.pinned.study.measure.window.passes
        if window is not None:
            return (window,) * len(self.cells)
        least_s = timing(self.pinned.study).window_at_least_s
        by_key: dict[PassesKey, int] = {}
        for key, group in self._group.items():
            fastest_s = min((pass_s[number] for number in group if number in pass_s), default=None)
            by_key[key] = 1 if fastest_s is None else max(1, math.ceil(PASSES_MARGIN * least_s / fastest_s))
        counts: dict[PassesKey, Counter[int]] = {}
        for number, passes, protocol in used:
            if protocol == self.digest(number, passes):
                counts.setdefault(self.keys[number], Counter())[passes] += 1
        by_key |= {key: min(count, key=lambda passes: (-count[passes], passes)) for key, count in counts.items()}
        return tuple(by_key[key] for key in self.keys)

    def protocol(self, number: int, passes: int) -> Protocol:
        """Return how cell `number` is measured in a window of `passes`."""
        key = (number, passes)
        if key not in self._protocols:
            one = self._protocol(number) if passes == 1 else replace(self.protocol(number, 1), passes=passes)
            self._protocols[key] = one
        return self._protocols[key]

    def digest(self, number: int, passes: int) -> str:
        """Return the digest of that protocol."""
        key = (number, passes)
        if key not in self._digests:
            self._digests[key] = self.protocol(number, passes).digest
        return self._digests[key]

    def pilot_digest(self, number: int) -> str:
        """Return the digest of the protocol of the pilot of cell `number`."""
        if number not in self._pilot_digests:
            self._pilot_digests[number] = brief(self.protocol(number, 1)).digest
        return self._pilot_digests[number]

    def blocks(self, place: str, passes: Sequence[int]) -> Iterator[PlannedBlock]:
        """Yield the plan of `place` block by block, as it runs there if nothing fails; `passes` as by `passes()`."""
        last: int | None = None
        for block, order in enumerate(self.orders(place), start=1):
            trials = []
            for position, cell in enumerate(order, start=1):
                trials.append(
                    self.trial(cell, place=place, passes=passes[cell], block=block, position=position, predecessor=last)
                )
                last = cell
            yield PlannedBlock(number=block, trials=tuple(trials))

    def trial(
        self,
        number: int,
        *,
        place: str,
        kind: AttemptKind = "trial",
        machine_id: str = "",
        passes: int = 1,
        block: int = 0,
        round: int = 1,  # noqa: A002 - the field's name
        attempt: int = 1,
        position: int = 0,
        predecessor: int | None = None,
        assignment: str = "",
    ) -> Trial:
        """Return the trial of cell `number` as it is sent to an agent; the arguments are the fields of `Trial`."""
        pilot = kind == "pilot"
        protocol = self.pilot_digest(number) if pilot else self.digest(number, passes)
        return replace(
            self._template(number, 0 if pilot else passes),
            trial_id=trial_id(
                study=self.pinned.study.name,
                cell=self.cells[number],
                repetition=block,
                place=place,
                protocol=protocol,
                kind=kind,
            ),
            place=place,
            block=block,
            machine_id="" if machine_id == place else machine_id,
            attempt=attempt,
            round=round,
            position=position,
            predecessor=None if predecessor is None else str(self.cells[predecessor]),
            assignment=assignment,
        )

    def expected_s(self, number: int, *, passes: int, pass_s: float | None) -> float:
        """Return how long a trial of cell `number` takes, seconds, its overhead included."""
        return expected_trial_s(self.protocol(number, passes), pass_s=pass_s)

    def _protocol(self, number: int) -> Protocol:
        pinned, cell = self.pinned, self.cells[number]
        compared = set()
        for other in (self.cells[member] for member in self._group[self.keys[number]]):
            name, repeats = original(pinned.study, other.model)
            compared.add((pinned.models[name].digest, pinned.models[name].head, repeats, other.environment))
        model, repeats = original(pinned.study, cell.model)
        return Protocol(
            regime=pinned.study.regime,
            timing=timing(pinned.study),
            isolation=pinned.study.measure.isolation,
            energy_source=pinned.study.measure.energy_source,
            passes=1,
            item_repeats=repeats,
            companions=digest(sorted(compared)),
            model=pinned.models[model],
            task=pinned.tasks[cell.task],
        )

    def _template(self, number: int, passes: int) -> Trial:
        """Return a trial of cell `number` without what depends on place and block; a pilot where `passes` is 0."""
        if (number, passes) not in self._templates:
            study, key = self.pinned.study, self.keys[number]
            protocol = self.protocol(number, passes) if passes else brief(self.protocol(number, 1))
            self._templates[number, passes] = Trial(
                study=study.name,
                store_id=self.store_id,
                kind="trial" if passes else "pilot",
                trial_id="",
                place="",
                block=0,
                position=0,
                comparison_group=digest([*map(str, key), protocol.companions]),
                comparison_group_size=len(self._group[key]),
                cell=self.cells[number],
                protocol=protocol,
                timeout_s=study.measure.timeout_s,
                sampling_hz=study.measure.sampling_hz,
                modelled=study.measure.modelled,
                thresholds=study.thresholds,
                labels=study.labels,
            )
        return self._templates[number, passes]
