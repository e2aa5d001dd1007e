"""Machines that took part in a study before and have trials left: a run waits for them as for those that leave it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from coordinator.scheduling.design import Design
from coordinator.scheduling.facts import AttemptFact
from coordinator.scheduling.place import Place


class Awaited:
    """By machine id, until it joins. `known` maps those of earlier runs to their names."""

    def __init__(self, known: Mapping[str, str], facts: Iterable[AttemptFact], design: Design) -> None:
        by_place: dict[str, list[AttemptFact]] = {machine_id: [] for machine_id in known}
        for fact in facts:
            if fact.place in by_place:
                by_place[fact.place].append(fact)
        places = {machine_id: Place(name=machine_id, design=design, facts=its) for machine_id, its in by_place.items()}
        self._places = {machine_id: place for machine_id, place in places.items() if not place.finished()}
        self._known = known

    def names(self, members: Collection[str]) -> list[str]:
        """Of those that are not among `members`."""
        return [self._known[machine_id] for machine_id in self._places if machine_id not in members]

    def counts(self, members: Collection[str]) -> tuple[int, int, int]:
        """Of those that are not among `members`, all together: trials planned, ok, failed."""
        places = [place for machine_id, place in self._places.items() if machine_id not in members]
        tallies = [place.tally() for place in places]
        return (
            sum(place.planned for place in places),
            sum(tally.ok for tally in tallies),
            sum(tally.failed for tally in tallies),
        )
