"""Machines that took part in a study before and have trials left: a run waits for them as for those that leave it.

Those that do not come are named, and not counted: they may be gone for good.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.place import Place
from joulefleet.plan.design import Design


class Awaited:
    """By machine id, until it joins. `known` maps those of earlier runs to their names."""

    def __init__(self, known: Mapping[str, str], facts: Iterable[AttemptFact], design: Design) -> None:
        by_place: dict[str, list[AttemptFact]] = {machine_id: [] for machine_id in known}
        for fact in facts:
            if fact.place in by_place:
                by_place[fact.place].append(fact)
        places = {machine_id: Place(name=machine_id, design=design, facts=its) for machine_id, its in by_place.items()}
        self._unfinished = {
            machine_id: known[machine_id] for machine_id, place in places.items() if not place.finished()
        }

    def names(self, members: Collection[str]) -> list[str]:
        """Of those that are not among `members`."""
        return [name for machine_id, name in self._unfinished.items() if machine_id not in members]
