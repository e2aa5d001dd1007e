"""One place of a study: a machine that runs the whole design, or a class of machines that share it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from coordinator.scheduling.attempt import DETERMINISTIC, AttemptFact
from coordinator.scheduling.block import MOST_DETERMINISTIC, BlockProgress, Tries, block_from
from joulefleet.plan.design import Design


@dataclass(slots=True)
class Tally:
    """Numbers of trials of a place that are done."""

    ok: int = 0
    failed: int = 0


@dataclass(slots=True)
class Place:
    """Progress of a study at one place: first its pilots, then its blocks.

    The scheduler owns one for each place and makes it with `facts`, the attempts that a store holds of the place;
    `joulefleet plan` makes one to show what is left. While `passes` is None, machines run what `next_pilot`
    gives, and `note_pilot` counts it; the last pilot fixes the passes. From then on `take` gives a machine the
    block that it works on, `begin_again` begins a round of it, and `note` counts each trial that has ended. It
    raises nothing: an attempt that does not belong to the study as it is now is ignored, or is `obsolete`.
    """

    name: str
    """Id of the machine, or of the class of machines."""
    design: Design
    facts: list[AttemptFact]
    """Attempts that wait until the passes are fixed; empty afterwards."""
    retry: frozenset[str] = frozenset()
    """Trials to try again although they were given up: `failed`, `quarantined`."""
    passes: tuple[int, ...] | None = None
    """Passes in the window of each cell; None until the pilots have ended."""
    pass_s: dict[int, float] = field(default_factory=dict)
    """Duration of one pass of each cell as its pilot measured it, seconds."""
    open: dict[int, BlockProgress] = field(default_factory=dict)
    """Blocks that have begun, here or in a store, and are not complete, by number."""
    obsolete: int = 0
    """Number of attempts in the store that were measured in another way than the study now asks for."""
    losses: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """Number of times an agent was lost in a trial (kind, cell, block) since that trial last ended."""
    _pilots: dict[int, Tries] = field(default_factory=dict)
    _in_flight: dict[int, str] = field(default_factory=dict)
    """Machine that runs the pilot of a cell now, by cell."""
    _orders: Iterator[list[int]] = field(init=False)
    _known_orders: list[list[int]] = field(default_factory=list)
    _digests: tuple[str, ...] = ()
    _each_s: tuple[float, ...] = ()
    _left_s: float = 0.0
    _done: Tally = field(default_factory=Tally)
    _complete: set[int] = field(default_factory=set)
    _next: int = 1
    _quarantined: set[int] = field(default_factory=set)
    """Cells that were in quarantine in a block: in every other block one failure is enough."""

    def __post_init__(self) -> None:
        self._orders = self.design.orders(self.name)
        if not self.design.has_pilots:
            self._fix_passes()
            return
        for fact in self.facts:
            if fact.kind == "pilot":
                self.note_pilot(fact)
        self._settle_pilots()

    # pilots

    def next_pilot(self, machine_id: str) -> tuple[int, int] | None:
        """Give the machine a pilot to run, as its cell and the number of the attempt; None where none is free."""
        for cell in range(len(self.design.cells)):
            tries = self._pilots.get(cell)
            if cell not in self._in_flight and (tries is None or not tries.settled):
                self._in_flight[cell] = machine_id
                return cell, 1 if tries is None else tries.attempt + 1
        return None

    def note_pilot(self, fact: AttemptFact) -> None:
        """Count a pilot that has ended; the last one fixes the passes."""
        cell = self.design.number.get(fact.cell)
        if cell is None or fact.protocol != self.design.pilot_digest(cell):
            return
        self.drop_pilot(cell, fact.machine_id)
        self._pilots.setdefault(cell, Tries()).note(fact)
        if fact.ok and fact.pass_s is not None:
            self.pass_s.setdefault(cell, fact.pass_s)
        self._settle_pilots()

    def drop_pilot(self, cell: int, machine_id: str) -> None:
        """Let others run the pilot of `cell`, if the machine runs it."""
        if self._in_flight.get(cell) == machine_id:
            del self._in_flight[cell]

    def leave(self, machine_id: str) -> None:
        """Let others run the pilots of a machine that has gone."""
        for cell in [cell for cell, runner in self._in_flight.items() if runner == machine_id]:
            del self._in_flight[cell]

    @property
    def pilots_left(self) -> int:
        """Number of pilots that are still to run."""
        if self.passes is not None:
            return 0
        return len(self.design.cells) - sum(tries.settled for tries in self._pilots.values())

    def _settle_pilots(self) -> None:
        if self.passes is None and self.pilots_left == 0:
            self._fix_passes()

    def _fix_passes(self) -> None:
        # The same row may have come twice while the pilots ran.
        trials = {fact.attempt_id: fact for fact in self.facts if fact.kind == "trial"}.values()
        known = [(cell, fact) for fact in trials if (cell := self.design.number.get(fact.cell)) is not None]
        design = self.design
        self.passes = design.passes(self.pass_s, [(cell, fact.passes, fact.protocol) for cell, fact in known])
        self._digests = tuple(design.digest(cell, passes) for cell, passes in enumerate(self.passes))
        self._each_s = tuple(
            design.expected_s(cell, passes=passes, pass_s=self.pass_s.get(cell))
            for cell, passes in enumerate(self.passes)
        )
        self._left_s = design.repetitions * sum(self._each_s)
        valid = [(cell, fact) for cell, fact in known if fact.protocol == self._digests[cell]]
        self.obsolete = len(trials) - len(valid)
        self.facts = []
        self._open_blocks([(cell, fact) for cell, fact in valid if fact.block <= design.repetitions])

    def _open_blocks(self, facts: Sequence[tuple[int, AttemptFact]]) -> None:
        by_block: dict[int, list[tuple[int, AttemptFact]]] = {}
        failures: Counter[tuple[int, int]] = Counter()
        for cell, fact in facts:
            by_block.setdefault(fact.block, []).append((cell, fact))
            failures[fact.block, cell] += fact.reason in DETERMINISTIC
        if "quarantined" not in self.retry:
            self._quarantined = {cell for (_, cell), count in failures.items() if count >= MOST_DETERMINISTIC}
        for number, mine in sorted(by_block.items()):
            block = block_from(
                number, self.order(number), self.design.groups, mine, quarantined=self._quarantined, retry=self.retry
            )
            self.open[number] = block
            for cell, tries in block.tries.items():
                if tries.settled:
                    self._count(cell, tries, 1)
            if block.complete:
                self._close(block)

    # blocks

    def digest(self, cell: int) -> str:
        """Return the digest of the protocol of `cell` here; the passes must be fixed."""
        return self._digests[cell]

    def order(self, number: int) -> list[int]:
        """Return the cells of block `number` in their order; blocks are numbered from 1."""
        while len(self._known_orders) < number:
            self._known_orders.append(next(self._orders))
        return self._known_orders[number - 1]

    def take(self, machine_id: str, present: AbstractSet[str]) -> BlockProgress | None:
        """Return the block that a machine works on next; None where none is left.

        Its own comes first, then one that nobody holds, a new one, and last one of a machine that is not `present`.
        """
        own, orphans, absent = [], [], []
        for number, block in self.open.items():
            if block.holder == machine_id:
                own.append(number)
            elif block.holder is None:
                orphans.append(number)
            elif block.holder not in present:
                absent.append(number)
        if own or orphans:
            return self.open[min(own or orphans)]
        return self._fresh(machine_id) or (self.open[min(absent)] if absent else None)

    def has_block_for(self, machine_id: str, present: AbstractSet[str]) -> bool:
        """Tell whether `take` would give the machine a block. Changes nothing."""
        if len(self.open) + len(self._complete) < self.design.repetitions:
            return True
        return any(block.holder in (None, machine_id) or block.holder not in present for block in self.open.values())

    def begin_again(self, block: BlockProgress, why: str) -> None:
        """Begin the next round of `block`."""
        before = dict(block.tries)
        for cell in block.begin_again(why):
            self._count(cell, before[cell], -1)

    def note(self, fact: AttemptFact, cell: int | None, block: BlockProgress | None = None) -> None:
        """Count a trial that has ended.

        `cell` is None where the design does not have its cell. `block` saves a look-up where it is the trial's.
        """
        if self.passes is None:
            self.facts.append(fact)
            return
        if cell is None or fact.protocol != self._digests[cell]:
            return
        if block is None or block.number != fact.block or block.complete:
            block = self._open(fact.block)
        if block is None:
            return
        while block.round < fact.round:
            self.begin_again(block, "an earlier run had begun it")
        good, bad = block.good, block.bad
        # A cell that was in quarantine in another block gets one chance in this one.
        tries = block.note(fact, cell, most_deterministic=1 if cell in self._quarantined else MOST_DETERMINISTIC)
        if tries is None:
            return
        # A trial that was taken for lost may have been measured after all.
        self._done.ok += block.good - good
        self._done.failed += block.bad - bad
        if block.good + block.bad > good + bad:
            self._left_s -= self._each_s[cell]
            if tries.given_up == "quarantined":
                self._quarantined.add(cell)
            if block.complete:
                self._close(block)

    @property
    def planned(self) -> int:
        """Number of trials of the whole design here."""
        return self.design.repetitions * len(self.design.cells)

    def tally(self) -> Tally:
        """Return the numbers of trials that are done, those of open blocks included."""
        return replace(self._done)

    def finished(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.passes is not None and len(self._complete) == self.design.repetitions

    def expected_s(self) -> float:
        """Return how long the trials that are left take, seconds, by the durations that the pilots measured."""
        return max(0.0, self._left_s)

    def _count(self, cell: int, tries: Tries, by: int) -> None:
        """Count a trial of `cell` that is settled; with `by` -1, one that no longer is."""
        if tries.ok:
            self._done.ok += by
        else:
            self._done.failed += by
        self._left_s -= by * self._each_s[cell]

    def _open(self, number: int) -> BlockProgress | None:
        """Return the block of that number; None where it is complete, or not in the plan."""
        if number in self._complete or not 1 <= number <= self.design.repetitions:
            return None
        if number not in self.open:
            # The row of an earlier run, which an outbox has kept until now.
            self.open[number] = BlockProgress(number=number, order=self.order(number), groups=self.design.groups)
        return self.open[number]

    def _fresh(self, machine_id: str) -> BlockProgress | None:
        """Begin the first block that nobody has begun; None where there is none."""
        while self._next <= self.design.repetitions and (self._next in self.open or self._next in self._complete):
            self._next += 1
        if self._next > self.design.repetitions:
            return None
        block = BlockProgress(
            number=self._next, order=self.order(self._next), groups=self.design.groups, holder=machine_id
        )
        self.open[block.number] = block
        return block

    def _close(self, block: BlockProgress) -> None:
        self._complete.add(block.number)
        del self.open[block.number]
