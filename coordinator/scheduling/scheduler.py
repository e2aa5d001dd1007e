"""What each idle machine does next, from the plan and from what has ended. Pure: time is an argument."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from coordinator.scheduling.attempt import AGENT_LOST, AttemptFact
from coordinator.scheduling.block import BlockProgress
from coordinator.scheduling.place import Place
from joulefleet.plan.design import Design
from joulefleet.plan.trial import AttemptKind, Trial

LOSSES_OF_A_TRIAL = 3
"""An agent that is lost so often in one trial is not tried with it again: the trial has failed."""

LOSSES_OF_A_MACHINE = 6
"""A machine whose agent is lost so often in succession is set aside."""

BUSY_S = 30.0
"""A machine on which somebody else measures is asked again after so long."""


class Assignment(NamedTuple):
    """One attempt that a machine is to make. `cell` and `predecessor` are numbers of the design's cells.

    No dataclass: a fleet makes one for every trial, and a frozen dataclass of so many fields takes four times as long.
    """

    machine_id: str
    place: str
    kind: AttemptKind
    cell: int
    block: int
    round: int
    attempt: int
    position: int
    predecessor: int | None
    round_why: str = ""
    """Why there is this round."""
    hopeless: bool = False
    """Not to be run: its agent was lost for good in an earlier round of the block, and its row says so in this one."""

    @property
    def why(self) -> str:
        """Why it is made now, for people."""
        if self.kind == "pilot":
            return "pilot: how long a pass takes"
        said = f"block {self.block}, position {self.position}"
        if self.round > 1:
            said += f"; round {self.round}, as {self.round_why or 'an earlier one was not whole'}"
        if self.attempt > 1:
            said += f"; attempt {self.attempt}, as the one before it failed"
        return said


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """Nothing for this machine now, and why; `until_s` where that is known."""

    why: Literal["finished", "set aside", "busy", "pilots", "absent"]
    message: str = ""
    until_s: float | None = None


@dataclass(slots=True)
class Member:
    """A machine that takes part."""

    machine_id: str
    place: str
    boot_id: str | None
    present: bool = True
    home: Place | None = None
    """Its place itself, and the block that it works on: a fleet would look them up at every trial."""
    block: BlockProgress | None = None
    assignment: Assignment | None = None
    last_cell: int | None = None
    losses: int = 0
    """In succession."""
    set_aside: str | None = None
    busy_until_s: float = 0.0


class Scheduler:
    """Decides. `facts` are the attempts that the store holds of the study."""

    def __init__(
        self,
        design: Design,
        facts: Iterable[AttemptFact] = (),
        *,
        retry: frozenset[str] = frozenset(),
    ) -> None:
        self.design = design
        self.places: dict[str, Place] = {}
        self.members: dict[str, Member] = {}
        self._retry = retry
        self._facts: dict[str, list[AttemptFact]] = {}
        self._present: set[str] = set()
        for fact in facts:
            self._facts.setdefault(fact.place, []).append(fact)

    def join(self, machine_id: str, *, place: str, boot_id: str | None) -> Place:
        """A machine is there, for the first time or again."""
        member = self.members.get(machine_id)
        if member is None:
            member = self.members[machine_id] = Member(machine_id=machine_id, place=place, boot_id=boot_id)
        if member.place != place:
            # A machine of another class now: what it was about is the old one's.
            member.place, member.block, member.assignment = place, None, None
        if member.boot_id != boot_id:
            member.last_cell = None
        member.boot_id, member.present = boot_id, True
        if member.set_aside is None:
            self._present.add(machine_id)
        if place not in self.places:
            self.places[place] = Place(
                name=place, design=self.design, facts=self._facts.pop(place, []), retry=self._retry
            )
        member.home = self.places[place]
        return member.home

    def leave(self, machine_id: str) -> None:
        """It has gone; what it was about is lost until it comes back and says otherwise."""
        member = self.members[machine_id]
        member.present = False
        self._present.discard(machine_id)
        self.places[member.place].leave(machine_id)

    def next(self, machine_id: str, now_s: float) -> Assignment | Rest:
        """What the machine, which is idle, does now; `now_s` in seconds since 1970."""
        member = self.members[machine_id]
        place = member.home
        if place is None or not member.present:
            return Rest(why="absent")
        if member.set_aside is not None:
            return Rest(why="set aside", message=member.set_aside)
        if member.busy_until_s and self.is_busy(machine_id, now_s):
            return Rest(why="busy", until_s=member.busy_until_s)
        if place.passes is None:
            pilot = place.next_pilot(machine_id)
            if pilot is not None:
                member.assignment = _pilot(member, *pilot)
                return member.assignment
            if place.passes is None:
                return Rest(why="pilots", message=f"the pilots of {place.name} are not done")
        block = member.block
        if block is None or block.holder != machine_id or block.complete:
            block = member.block = place.take(machine_id, self._present)
            if block is None:
                return Rest(why="finished")
        incoherent = block.incoherent(machine_id=machine_id, boot_id=member.boot_id, now_s=now_s)
        if incoherent is not None:
            place.begin_again(block, incoherent)
        # About to run a trial of it.
        block.holder, block.touched = machine_id, True
        member.assignment = found = _trial(member, block, block.choose(member.last_cell))
        return found

    def expects_work(self, machine_id: str, now_s: float) -> bool:
        """Tell whether an idle machine would get a trial now, or waits only until it is free or pilots have ended.

        Changes nothing.
        """
        member = self.members[machine_id]
        place = member.home
        if place is None or not member.present or member.set_aside is not None:
            return False
        if place.passes is None or self.is_busy(machine_id, now_s):
            return True
        return place.has_block_for(machine_id, self._present)

    def ended(self, fact: AttemptFact, *, machine_id: str) -> None:
        """An attempt has ended, and its row is in the store; `machine_id` handed it over.

        `fact.ended_s` must be by the coordinator's clock: the machine's own may be hours off.
        """
        member = self.members.get(machine_id)
        if member is not None and fact.reason != AGENT_LOST:
            member.losses = 0
        assignment = None if member is None else member.assignment
        if member is None or assignment is None or member.home is None or not _is(assignment, fact, self.design):
            self._note(fact)
            return
        # What it was to do, as nearly always: nothing has to be looked up.
        place, cell = member.home, assignment.cell
        if assignment.kind == "pilot":
            place.note_pilot(fact)
        else:
            place.note(fact, cell, member.block)
        member.assignment = None
        if not assignment.hopeless:
            member.last_cell = cell
            if place.losses:
                place.losses.pop((assignment.kind, cell, assignment.block), None)

    def _note(self, fact: AttemptFact) -> None:
        place = self.places.get(fact.place)
        if place is None:
            self._facts.setdefault(fact.place, []).append(fact)
        elif fact.kind == "pilot":
            place.note_pilot(fact)
        else:
            place.note(fact, self.design.number.get(fact.cell))

    def lost(self, machine_id: str) -> Assignment | None:
        """The agent was lost, and does not have the row. The assignment that has failed for good by it, if any."""
        member = self.members[machine_id]
        gone, member.assignment = member.assignment, None
        member.losses += 1
        if member.losses >= LOSSES_OF_A_MACHINE:
            self.set_aside(machine_id, f"its agent was lost {member.losses} times in succession")
        if gone is None:
            return None
        place = self.places[gone.place]
        if gone.kind == "pilot":
            place.drop_pilot(gone.cell, machine_id)
        # By whichever machine and in whichever round: each loss may bring another one.
        key = (gone.kind, gone.cell, gone.block)
        place.losses[key] = place.losses.get(key, 0) + 1
        return gone if place.losses[key] >= LOSSES_OF_A_TRIAL else None

    def release(self, machine_id: str) -> None:
        """The assignment was not carried out, and is no loss: the machine was busy, or was stopped."""
        member = self.members[machine_id]
        gone, member.assignment = member.assignment, None
        if gone is not None and gone.kind == "pilot":
            self.places[gone.place].drop_pilot(gone.cell, machine_id)

    def is_busy(self, machine_id: str, now_s: float) -> bool:
        """Whether somebody else was found measuring there a moment ago."""
        until_s = self.members[machine_id].busy_until_s
        # Not if the clock was set back by hours meanwhile.
        return until_s - BUSY_S <= now_s < until_s

    def busy(self, machine_id: str, now_s: float) -> None:
        """Somebody else measures on the machine."""
        self.release(machine_id)
        self.members[machine_id].busy_until_s = now_s + BUSY_S

    def set_aside(self, machine_id: str, why: str) -> None:
        """The machine takes no further part."""
        self.release(machine_id)
        self.members[machine_id].set_aside = why
        self._present.discard(machine_id)

    def finished(self) -> bool:
        """Whether every place that was ever seen is done."""
        return bool(self.places) and all(place.finished() for place in self.places.values())

    def trial(self, assignment: Assignment) -> Trial:
        """The trial to send for `assignment`."""
        place = self.places[assignment.place]
        return self.design.trial(
            assignment.cell,
            kind=assignment.kind,
            place=assignment.place,
            machine_id=assignment.machine_id,
            passes=1 if place.passes is None else place.passes[assignment.cell],
            block=assignment.block,
            round=assignment.round,
            attempt=assignment.attempt,
            position=assignment.position,
            predecessor=assignment.predecessor,
            assignment=assignment.why,
        )


def _trial(member: Member, block: BlockProgress, cell: int) -> Assignment:
    tries = block.tries.get(cell)
    # By position, in the order of the fields: by name it takes half as long again.
    return Assignment(
        member.machine_id,
        member.place,
        "trial",
        cell,
        block.number,
        block.round,
        1 if tries is None else tries.attempt + 1,
        block.order.index(cell) + 1,
        member.last_cell,
        block.why,
        tries is not None and tries.hopeless,
    )


def _pilot(member: Member, cell: int, attempt: int) -> Assignment:
    return Assignment(
        machine_id=member.machine_id,
        place=member.place,
        kind="pilot",
        cell=cell,
        block=0,
        round=1,
        attempt=attempt,
        position=0,
        predecessor=member.last_cell,
    )


def _is(assignment: Assignment, fact: AttemptFact, design: Design) -> bool:
    return (
        assignment.block == fact.block
        and assignment.attempt == fact.attempt
        and assignment.round == fact.round
        and assignment.kind == fact.kind
        and assignment.place == fact.place
        and design.cells[assignment.cell] == fact.cell
    )
