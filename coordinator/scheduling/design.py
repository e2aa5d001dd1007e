"""The design of a study as the scheduler sees it: cells by number, what is compared with what, orders, protocols."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from coordinator.scheduling.attempt import AttemptFact
from joulefleet.plan.expand import (
    PassesKey,
    Pinned,
    brief,
    cells,
    comparison_group,
    expected_trial_s,
    group_passes,
    passes_key,
    protocol_of,
    trial_for,
)
from joulefleet.plan.trial import AttemptKind, Cell, Protocol, Trial, trial_id
from joulefleet.plan.williams import balanced_orders


class Design:
    """A pinned study. Cells are numbered in the order in which the study names them."""

    def __init__(self, pinned: Pinned, *, store_id: str) -> None:
        self.pinned = pinned
        self.store_id = store_id
        self.cells: tuple[Cell, ...] = tuple(cells(pinned.study))
        self.number: Mapping[Cell, int] = {cell: number for number, cell in enumerate(self.cells)}
        self.keys: tuple[PassesKey, ...] = tuple(passes_key(pinned.study, cell) for cell in self.cells)
        groups: dict[PassesKey, list[int]] = {}
        for number, key in enumerate(self.keys):
            groups.setdefault(key, []).append(number)
        self.groups: tuple[tuple[int, ...], ...] = tuple(tuple(group) for group in groups.values())
        """Cells that are compared with each other, directly or by way of others."""
        self.repetitions = pinned.study.repetitions
        self.has_pilots = pinned.study.measure.window.passes is None
        self._first: dict[int, Protocol] = {}
        self._protocols: dict[tuple[int, int], Protocol] = {}
        self._digests: dict[tuple[int, int], str] = {}
        self._pilot_digests: dict[int, str] = {}
        self._examples: dict[tuple[int, int], Trial] = {}

    def orders(self, place: str) -> Iterator[list[int]]:
        """The order of the cells in each block of `place`."""
        study = self.pinned.study
        seed = f"{study.seed}/{study.name}/{place}"
        return itertools.islice(balanced_orders(len(self.cells), seed=seed), self.repetitions)

    def passes(self, pass_s: Mapping[int, float], facts: Iterable[tuple[int, AttemptFact]] = ()) -> tuple[int, ...]:
        """The passes of each cell's window, from the seconds of one pass of the cells that have a pilot.

        `facts` are trials as (cell, attempt). Where some were measured as the study asks, their passes stand: a
        pilot's row that comes late, when others were believed already, must not make them worthless.
        """
        told = [pass_s.get(number) for number in range(len(self.cells))]
        by_key = group_passes(self.pinned.study, self.keys, told)
        if self.has_pilots:
            used: dict[PassesKey, Counter[int]] = {}
            for number, fact in facts:
                if fact.protocol == self.digest(number, fact.passes):
                    used.setdefault(self.keys[number], Counter())[fact.passes] += 1
            by_key |= {key: min(counts, key=lambda n: (-counts[n], n)) for key, counts in used.items()}
        return tuple(by_key[key] for key in self.keys)

    def protocol(self, number: int, passes: int) -> Protocol:
        """How cell `number` is measured in a window of `passes`."""
        key = (number, passes)
        if key not in self._protocols:
            first = self._first.get(number)
            if first is None:
                first = self._first[number] = protocol_of(self.pinned, self.cells[number], passes=1)
            self._protocols[key] = replace(first, passes=passes)
        return self._protocols[key]

    def digest(self, number: int, passes: int) -> str:
        """The digest of that protocol."""
        key = (number, passes)
        if key not in self._digests:
            self._digests[key] = self.protocol(number, passes).digest
        return self._digests[key]

    def pilot_digest(self, number: int) -> str:
        """The digest of the protocol of the pilot of cell `number`."""
        if number not in self._pilot_digests:
            self._pilot_digests[number] = brief(self.protocol(number, 1)).digest
        return self._pilot_digests[number]

    def trial(
        self,
        number: int,
        *,
        kind: AttemptKind,
        place: str,
        machine_id: str,
        passes: int,
        block: int,
        round: int,  # noqa: A002 - the field's name
        attempt: int,
        position: int,
        predecessor: int | None,
        assignment: str,
    ) -> Trial:
        """The trial that is sent to an agent."""
        pilot = kind == "pilot"
        protocol = self.pilot_digest(number) if pilot else self.digest(number, passes)
        cell = self.cells[number]
        return replace(
            self._example(number, 0 if pilot else passes),
            trial_id=trial_id(
                study=self.pinned.study.name, cell=cell, repetition=block, place=place, protocol=protocol, kind=kind
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

    def _example(self, number: int, passes: int) -> Trial:
        """A trial of cell `number`, the same for all places and blocks; with no `passes` a pilot."""
        key = (number, passes)
        if key not in self._examples:
            protocol = self.protocol(number, passes) if passes else brief(self.protocol(number, 1))
            cell = self.cells[number]
            self._examples[key] = trial_for(
                self.pinned,
                cell,
                protocol,
                group=comparison_group(self.pinned.study, cell, protocol),
                kind="trial" if passes else "pilot",
                block=0,
                place="",
                store_id=self.store_id,
            )
        return self._examples[key]

    def expected_s(self, number: int, *, passes: int, pass_s: float | None) -> float:
        """Seconds that a trial of cell `number` takes, its overhead included."""
        return expected_trial_s(self.protocol(number, passes), pass_s=pass_s)
