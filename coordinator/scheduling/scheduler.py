"""Decides which trial an idle machine runs next, from the plan and the attempts so far. Pure: time is an argument."""

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
"""Number of losses of an agent in one trial after which the trial has failed."""

LOSSES_OF_A_MACHINE = 6
"""Number of losses of an agent in succession after which its machine is set aside."""

BUSY_S = 30.0
"""Time until a machine is asked again on which somebody else measures, seconds."""


class Assignment(NamedTuple):
    """One attempt that a machine is to make. `cell` and `predecessor` are numbers of the design's cells.

    A tuple because a fleet makes one for every trial: a frozen dataclass of so many fields takes four times as long.
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
    """Why this round was begun; empty in the first."""
    hopeless: bool = False
    """Whether the trial fails without being run, because its agent was lost too often in an earlier round."""

    @property
    def why(self) -> str:
        """Reason why it is made now, for people."""
        if self.kind == "pilot":
            return "pilot: how long a pass takes"
        text = f"block {self.block}, position {self.position}"
        if self.round > 1:
            text += f"; round {self.round}, as {self.round_why or 'an earlier one was not complete'}"
        if self.attempt > 1:
            text += f"; attempt {self.attempt}, as the one before it failed"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """No assignment for this machine now, and why. `until_s` is when to ask again, seconds since 1970, where known."""

    why: Literal["finished", "set aside", "busy", "pilots", "absent"]
    message: str = ""
    until_s: float | None = None


@dataclass(slots=True)
class Member:
    """A machine that takes part."""

    machine_id: str
    place: str
    """Name of its place."""
    boot_id: str | None
    present: bool = True
    home: Place | None = None
    """The place of that name, kept here because a look-up at every trial would slow a fleet down."""
    block: BlockProgress | None = None
    """The block that it works on."""
    assignment: Assignment | None = None
    """What it does now."""
    last_cell: int | None = None
    """Number of the cell that it ran last in this boot."""
    losses: int = 0
    """Number of losses of its agent in succession."""
    set_aside: str | None = None
    """Why it takes no further part; None where it does."""
    busy_until_s: float = 0.0
    """When to ask again a machine on which somebody else measures, seconds since 1970."""


class Scheduler:
    """The policy of a run: which trial runs next on which machine.

    A campaign owns one and makes it with `facts`, the attempts that the store holds of the study; `retry` names
    what is tried again although it was given up (`failed`, `quarantined`). It calls `join` when a machine is
    there. While that machine is idle it calls `next`, makes the `trial` of an assignment and sends it. Then
    exactly one of these follows: `ended` with the row, once that is in the store; `lost` where the agent is gone
    and has no row; `busy` or `release` where the trial did not start. `leave` may come at any time, `set_aside`
    when the machine is not to be used any more. The run is over when `finished`.

    How it decides: a place first runs a pilot of every cell, which fixes the passes. Then each of its machines
    takes one block after the other and runs its cells in their order; what failed is tried again at the end of
    its block. A block that cannot go on as it was begun (an hour's pause, a restart, another machine) begins
    a new round of the cells that are not comparable any more. One decision takes microseconds, among 1,000
    machines as among ten (benchmarks/fleet/fleet_scale.py). Nothing here reads a clock or a file. A machine
    that has never joined raises KeyError; nothing else is raised. It is not thread-safe.
    """

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
        """Take in a machine that is there, for the first time or again; return its place."""
        member = self.members.get(machine_id)
        if member is None:
            member = self.members[machine_id] = Member(machine_id=machine_id, place=place, boot_id=boot_id)
        if member.place != place:
            # The machine is of another class now: its block and assignment belong to the old class.
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
        """Note that a machine has gone. Its assignment stays, as its row may still come."""
        member = self.members[machine_id]
        member.present = False
        self._present.discard(machine_id)
        self.places[member.place].leave(machine_id)

    def next(self, machine_id: str, now_s: float) -> Assignment | Rest:
        """Decide what an idle machine does now; `now_s` is in seconds since 1970."""
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
        block.holder, block.touched = machine_id, True
        member.assignment = assignment = _trial(member, block, block.choose(member.last_cell))
        return assignment

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
        """Count an attempt that has ended and whose row is in the store; `machine_id` is the machine that sent it.

        `fact.ended_s` must be by the coordinator's clock, as the clock of the machine may be hours off.
        """
        member = self.members.get(machine_id)
        if member is not None and fact.reason != AGENT_LOST:
            member.losses = 0
        assignment = None if member is None else member.assignment
        if member is None or assignment is None or member.home is None or not _is(assignment, fact, self.design):
            self._note(fact)
            return
        # Nearly always it is the machine's assignment, and nothing has to be looked up.
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
        """Count the loss of an agent that has no row; return its assignment where that has failed for good now."""
        member = self.members[machine_id]
        assignment, member.assignment = member.assignment, None
        member.losses += 1
        if member.losses >= LOSSES_OF_A_MACHINE:
            self.set_aside(machine_id, f"its agent was lost {member.losses} times in succession")
        if assignment is None:
            return None
        place = self.places[assignment.place]
        if assignment.kind == "pilot":
            place.drop_pilot(assignment.cell, machine_id)
        # Counted over machines and rounds, as each loss may bring another machine and another round.
        key = (assignment.kind, assignment.cell, assignment.block)
        place.losses[key] = place.losses.get(key, 0) + 1
        return assignment if place.losses[key] >= LOSSES_OF_A_TRIAL else None

    def release(self, machine_id: str) -> None:
        """Take back an assignment that was not carried out and is no loss: the machine was busy, or the run stops."""
        member = self.members[machine_id]
        assignment, member.assignment = member.assignment, None
        if assignment is not None and assignment.kind == "pilot":
            self.places[assignment.place].drop_pilot(assignment.cell, machine_id)

    def is_busy(self, machine_id: str, now_s: float) -> bool:
        """Tell whether somebody else measured on the machine less than `BUSY_S` ago."""
        until_s = self.members[machine_id].busy_until_s
        # The lower bound holds where the clock was set back meanwhile.
        return until_s - BUSY_S <= now_s < until_s

    def busy(self, machine_id: str, now_s: float) -> None:
        """Take back the assignment of a machine on which somebody else measures."""
        self.release(machine_id)
        self.members[machine_id].busy_until_s = now_s + BUSY_S

    def set_aside(self, machine_id: str, why: str) -> None:
        """Exclude the machine from the rest of the run; `why` is for people."""
        self.release(machine_id)
        self.members[machine_id].set_aside = why
        self._present.discard(machine_id)

    def finished(self) -> bool:
        """Tell whether some place is known and every known place is done."""
        return bool(self.places) and all(place.finished() for place in self.places.values())

    def trial(self, assignment: Assignment) -> Trial:
        """Return the trial to send for `assignment`."""
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
    """Tell whether `fact` is the attempt that was assigned."""
    return (
        assignment.block == fact.block
        and assignment.attempt == fact.attempt
        and assignment.round == fact.round
        and assignment.kind == fact.kind
        and assignment.place == fact.place
        and design.cells[assignment.cell] == fact.cell
    )
