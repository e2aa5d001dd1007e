"""One place of a study: a machine that runs the whole design, or a class of machines that share one."""

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
    """Trials of a place that are done, by how they ended."""

    ok: int = 0
    failed: int = 0


@dataclass(slots=True)
class Place:
    """Its pilots, then its blocks. `facts` are the attempts that a store holds of it."""

    name: str
    design: Design
    facts: list[AttemptFact]
    retry: frozenset[str] = frozenset()
    passes: tuple[int, ...] | None = None
    """Of each cell's window; None until the pilots have told."""
    pass_s: dict[int, float] = field(default_factory=dict)
    """Seconds of one pass of each cell, by its pilot."""
    open: dict[int, BlockProgress] = field(default_factory=dict)
    """Blocks that have begun, here or in a store, and are not complete."""
    obsolete: int = 0
    """Attempts in the store that were measured in another way than the study now asks for."""
    losses: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """How often an agent was lost in a trial (kind, cell, block) since the last time that one ended."""
    _pilots: dict[int, Tries] = field(default_factory=dict)
    _in_flight: dict[int, str] = field(default_factory=dict)
    """Pilots that are being run, by whom."""
    _orders: Iterator[list[int]] = field(init=False)
    _known_orders: list[list[int]] = field(default_factory=list)
    _digests: tuple[str, ...] = ()
    _each_s: tuple[float, ...] = ()
    _left_s: float = 0.0
    _done: Tally = field(default_factory=Tally)
    _complete: set[int] = field(default_factory=set)
    _next: int = 1
    _poor: set[int] = field(default_factory=set)
    """Cells that were in quarantine in a block: they get one chance in each other."""

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
        """A pilot that the machine is to run, as its cell and the number of the attempt."""
        for cell in range(len(self.design.cells)):
            tries = self._pilots.get(cell)
            if cell not in self._in_flight and (tries is None or not tries.settled):
                self._in_flight[cell] = machine_id
                return cell, 1 if tries is None else tries.attempt + 1
        return None

    def note_pilot(self, fact: AttemptFact) -> None:
        """A pilot has ended."""
        cell = self.design.number.get(fact.cell)
        if cell is None or fact.protocol != self.design.pilot_digest(cell):
            return
        self.drop_pilot(cell, fact.machine_id)
        self._pilots.setdefault(cell, Tries()).note(fact)
        if fact.ok and fact.pass_s is not None:
            self.pass_s.setdefault(cell, fact.pass_s)
        self._settle_pilots()

    def drop_pilot(self, cell: int, machine_id: str) -> None:
        """The machine does not run it any more."""
        if self._in_flight.get(cell) == machine_id:
            del self._in_flight[cell]

    def leave(self, machine_id: str) -> None:
        """The machine has gone: nobody waits for a pilot that it had."""
        for cell in [cell for cell, by in self._in_flight.items() if by == machine_id]:
            del self._in_flight[cell]

    @property
    def pilots_left(self) -> int:
        """Pilots that are still to run."""
        if self.passes is not None:
            return 0
        return len(self.design.cells) - sum(tries.settled for tries in self._pilots.values())

    def _settle_pilots(self) -> None:
        if self.passes is None and self.pilots_left == 0:
            self._fix_passes()

    def _fix_passes(self) -> None:
        # One may have come twice while the pilots ran.
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
            self._poor = {cell for (_, cell), count in failures.items() if count >= MOST_DETERMINISTIC}
        for number, mine in sorted(by_block.items()):
            block = block_from(number, self.order(number), self.design.groups, mine, poor=self._poor, retry=self.retry)
            self.open[number] = block
            for cell, tries in block.tries.items():
                if tries.settled:
                    self._settled(cell, tries, 1)
            if block.complete:
                self._close(block)

    # blocks

    def digest(self, cell: int) -> str:
        """The digest of the protocol of `cell` here."""
        return self._digests[cell]

    def order(self, number: int) -> list[int]:
        """The order of block `number`, from 1."""
        while len(self._known_orders) < number:
            self._known_orders.append(next(self._orders))
        return self._known_orders[number - 1]

    def take(self, machine_id: str, present: AbstractSet[str]) -> BlockProgress | None:
        """The block that `machine_id` works on next: its own, one that nobody holds, a fresh one, an absent one's."""
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
        """The next round of `block`."""
        before = dict(block.tries)
        for cell in block.begin_again(why):
            self._settled(cell, before[cell], -1)

    def note(self, fact: AttemptFact, cell: int | None, block: BlockProgress | None = None) -> None:
        """A trial of `cell` has ended; None: of one that the design does not have. `block` may be its block."""
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
        # What was in quarantine in another block gets one chance in this one.
        tries = block.note(fact, cell, most_deterministic=1 if cell in self._poor else MOST_DETERMINISTIC)
        if tries is None:
            return
        # One that had been taken for lost may have been measured after all.
        self._done.ok += block.good - good
        self._done.failed += block.bad - bad
        if block.good + block.bad > good + bad:
            self._left_s -= self._each_s[cell]
            if tries.given_up == "quarantined":
                self._poor.add(cell)
            if block.complete:
                self._close(block)

    @property
    def planned(self) -> int:
        """Trials of the whole design here."""
        return self.design.repetitions * len(self.design.cells)

    def tally(self) -> Tally:
        """Trials that are done, those of open blocks too."""
        return replace(self._done)

    def finished(self) -> bool:
        """Whether nothing is left to do."""
        return self.passes is not None and len(self._complete) == self.design.repetitions

    def expected_s(self) -> float:
        """Seconds of trials that are left, by what the pilots said."""
        return max(0.0, self._left_s)

    def _settled(self, cell: int, tries: Tries, by: int) -> None:
        """One trial of `cell` is settled; with `by` −1 it no longer is."""
        if tries.ok:
            self._done.ok += by
        else:
            self._done.failed += by
        self._left_s -= by * self._each_s[cell]

    def _open(self, number: int) -> BlockProgress | None:
        """The block of that number; None where it is complete, or none of the plan."""
        if number in self._complete or not 1 <= number <= self.design.repetitions:
            return None
        if number not in self.open:
            # An outbox held a row of it since an earlier run.
            self.open[number] = BlockProgress(number=number, order=self.order(number), groups=self.design.groups)
        return self.open[number]

    def _fresh(self, machine_id: str) -> BlockProgress | None:
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
