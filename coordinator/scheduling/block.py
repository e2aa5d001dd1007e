"""One block of one place: which of its trials are settled, and in which round.

Trials are compared within a block and a round. A block that was interrupted for over an hour, or whose
machine was restarted, continues in a next round: groups of cells that are complete stay as they are,
and all cells of the others run again together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from coordinator.scheduling.attempt import AGENT_LOST, DETERMINISTIC, AttemptFact

COHERENT_S = 3600.0
"""Longest pause within a round, seconds: later the machine, its room and its neighbours may have changed."""

MOST_DETERMINISTIC = 2
"""Number of failures of the work after which a trial is in quarantine."""

LOST = "the agent was lost in every attempt"
"""Reason of giving up a trial whose agent was lost too often."""

MOST_INFRASTRUCTURE = 3
"""Number of failures of the infrastructure after which a trial has failed."""


@dataclass(slots=True)
class Tries:
    """The attempts at one cell in the present round of a block. Failures are counted over all rounds."""

    attempt: int = 0
    """The number of the last attempt that ended."""
    ok: bool = False
    given_up: str = ""
    """Why it is not tried again; empty where it may be."""
    deterministic: int = 0
    infrastructure: int = 0
    hopeless: bool = False
    """Whether its agent was lost too often in an earlier round: it is not run again in this block."""
    _seen: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether nothing is left to do."""
        return self.ok or bool(self.given_up)

    def note(self, fact: AttemptFact, *, most_deterministic: int = MOST_DETERMINISTIC) -> None:
        """Count an attempt that has ended. The same attempt a second time changes nothing."""
        if fact.attempt_id in self._seen:
            return
        self._seen += (fact.attempt_id,)
        self.attempt = max(self.attempt, fact.attempt)
        if fact.status == "ok":
            self.ok = True
        elif fact.reason == AGENT_LOST:
            self.given_up = LOST
        elif fact.reason in DETERMINISTIC:
            self.deterministic += 1
            if self.deterministic >= most_deterministic:
                self.given_up = "quarantined"
        else:
            self.infrastructure += 1
            if self.infrastructure >= MOST_INFRASTRUCTURE:
                self.given_up = "failed"

    def try_again(self) -> None:
        """Forget the failures, so that the cell is tried again; attempts keep their numbers."""
        self.given_up, self.deterministic, self.infrastructure, self.hopeless = "", 0, 0, False


@dataclass(slots=True)
class BlockProgress:
    """Progress of one block: one repetition of every cell, at one place.

    A `Place` owns it, makes it when a machine begins the block or when a store has attempts of it (`block_from`),
    and drops it when it is `complete`. For each trial the scheduler asks `incoherent` first, calls `begin_again`
    where that gives a reason, then `choose`; when the attempt has ended, the place calls `note`. It raises
    nothing: an attempt that does not belong here changes nothing.
    """

    number: int
    order: Sequence[int]
    """Numbers of the cells, in the order of the plan."""
    groups: Sequence[Sequence[int]]
    """Cells that are compared with each other."""
    round: int = 1
    why: str = ""
    """Why the present round was begun; empty in the first."""
    holder: str | None = None
    """Id of the machine that works on it."""
    boot_id: str | None = None
    """Boot of the machine in which the present round began."""
    touched: bool = False
    """Whether a trial of the present round was handed out; it may have ended although its row is not here yet."""
    last_s: float | None = None
    """End of the last attempt of the present round, seconds since 1970; None before the first."""
    tries: dict[int, Tries] = field(default_factory=dict)
    good: int = 0
    """Number of cells that were measured."""
    bad: int = 0
    """Number of cells that were given up."""
    _at: int = 0
    """Index in `order`: all cells before it were tried in the present round, or are settled."""

    def tries_of(self, cell: int) -> Tries:
        """Return the tries of `cell`, which begin here where there are none."""
        return self.tries.setdefault(cell, Tries())

    @property
    def complete(self) -> bool:
        """Whether every cell is settled."""
        return self.good + self.bad >= len(self.order)

    def choose(self, last: int | None) -> int:
        """Return the cell to run next after the cell `last`; the block must not be complete.

        A cell does not follow itself where another one is left.
        """
        order, tries, at = self.order, self.tries, self._at
        while at < len(order) and (mine := tries.get(order[at])) is not None and (mine.attempt or mine.ok):
            at += 1
        self._at = at
        if at < len(order) and order[at] != last:
            return order[at]
        left = self.to_do()
        first = next(left)
        return first if first != last else next(left, first)

    def to_do(self) -> Iterator[int]:
        """Yield the cells that are left, in their order; those that have failed come last."""
        failed = []
        for cell in self.order:
            tries = self.tries.get(cell)
            if tries is None or not tries.attempt:
                yield cell
            elif not tries.settled:
                failed.append(cell)
        yield from failed

    def note(self, fact: AttemptFact, cell: int, *, most_deterministic: int = MOST_DETERMINISTIC) -> Tries | None:
        """Count an attempt at `cell` that has ended; return the tries of the cell, or None where it does not count.

        An attempt of an earlier round, or of a machine that had the block before, does not: trials are compared
        within one round on one machine. After `most_deterministic` failures of the work the cell is in quarantine.
        """
        if fact.round != self.round or (self.touched and fact.machine_id != self.holder):
            if fact.reason == AGENT_LOST:
                self.tries_of(cell).hopeless = True
            return None
        tries = self.tries.get(cell)
        if tries is None:
            tries = self.tries[cell] = Tries()
        elif tries.ok:
            self.good -= 1
        elif tries.given_up:
            self.bad -= 1
        tries.note(fact, most_deterministic=most_deterministic)
        if tries.ok:
            self.good += 1
        elif tries.given_up:
            self.bad += 1
        self.holder, self.touched = fact.machine_id, True
        # The coordinator wrote the row of a lost agent: nothing was measured at that time or in that boot.
        if fact.reason != AGENT_LOST:
            self.boot_id = fact.boot_id
            if self.last_s is None or fact.ended_s > self.last_s:
                self.last_s = fact.ended_s
        return tries

    def incoherent(self, *, machine_id: str, boot_id: str | None, now_s: float) -> str | None:
        """Return why this round must end here (other machine, restart, long pause); None where it can go on.

        `now_s` is in seconds since 1970.
        """
        if self.touched and self.holder != machine_id:
            return "another machine had begun it"
        if self.last_s is None:
            return None
        if boot_id is not None and self.boot_id is not None and self.boot_id != boot_id:
            return "the machine was restarted meanwhile"
        gap_s = now_s - self.last_s
        if gap_s > COHERENT_S:
            return f"it had rested for {gap_s / 3600:.1f} h"
        # The length of the pause is unknown: it may have been an hour or more.
        return f"a clock was set back by {-gap_s / 3600:.1f} h" if gap_s < -COHERENT_S else None

    def begin_again(self, why: str) -> list[int]:
        """Begin the next round, with all cells of each group that is not complete; return those that were settled."""
        self.round += 1
        self.why, self.last_s, self.boot_id, self.holder, self.touched = why, None, None, None, False
        reopened: list[int] = []
        for group in self.groups:
            mine = [(cell, self.tries[cell]) for cell in group if cell in self.tries]
            if len(mine) == len(group) and all(tries.settled for _, tries in mine):
                continue
            reopened += [cell for cell, tries in mine if tries.settled]
            # Keep the failures: else a trial that fails and one that restarts the machine would alternate for ever.
            for cell, tries in mine:
                self.tries[cell] = Tries(
                    deterministic=tries.deterministic,
                    infrastructure=tries.infrastructure,
                    hopeless=tries.hopeless or tries.given_up == LOST,
                )
        self.count()
        return reopened

    def count(self) -> None:
        """Count again what is settled."""
        self._at = 0
        self.good = sum(tries.ok for tries in self.tries.values())
        self.bad = sum(tries.settled and not tries.ok for tries in self.tries.values())


def block_from(
    number: int,
    order: Sequence[int],
    groups: Sequence[Sequence[int]],
    facts: Iterable[tuple[int, AttemptFact]],
    *,
    quarantined: AbstractSet[int] = frozenset(),
    retry: frozenset[str] = frozenset(),
) -> BlockProgress:
    """Return the block as the attempts in a store leave it.

    `facts` are (cell, attempt) of the protocols that the study asks for. `quarantined` are the cells that are in
    quarantine in some block: one failure is enough for them. `retry` names what is tried again although it was
    given up: `failed`, `quarantined`.
    """
    by_round: dict[tuple[int, str], list[tuple[int, AttemptFact]]] = {}
    for cell, fact in facts:
        by_round.setdefault((fact.round, fact.machine_id), []).append((cell, fact))
    block = BlockProgress(number=number, order=order, groups=groups)
    if not by_round:
        return block
    # If a row came late, two machines have attempts of this round. The block belongs to the one with more.
    newest, holder = max(by_round, key=lambda at: (at[0], len(by_round[at]), max(f.ended_s for _, f in by_round[at])))
    known: dict[tuple[int, str], dict[int, Tries]] = {}
    for at, mine in by_round.items():
        before = [pair for other, theirs in by_round.items() if other[0] < at[0] for pair in theirs]
        known[at] = _tries(mine, before, quarantined=quarantined, retry=retry)
    for group in groups:
        # The views accept the newest round that has the whole group. If nothing is left to do in that round, it
        # counts, even where other groups have newer rounds.
        whole = [at for at, tries in known.items() if all(cell in tries and tries[cell].attempt for cell in group)]
        accepted = max(whole, default=(newest, holder))
        settled = all(cell in known[accepted] and known[accepted][cell].settled for cell in group)
        tries = known[accepted] if settled else known[newest, holder]
        block.tries |= {cell: tries[cell] for cell in group if cell in tries}
    block.round, block.holder, block.touched = newest, holder, True
    measured = [fact for _, fact in by_round[newest, holder] if fact.reason != AGENT_LOST]
    if measured:
        last = max(measured, key=lambda fact: fact.ended_s)
        block.last_s, block.boot_id = last.ended_s, last.boot_id
    block.count()
    return block


def _tries(
    facts: Sequence[tuple[int, AttemptFact]],
    before: Sequence[tuple[int, AttemptFact]],
    *,
    quarantined: AbstractSet[int],
    retry: frozenset[str],
) -> dict[int, Tries]:
    """Return the tries of the cells of one round on one machine; `before` are the attempts of earlier rounds."""
    by_cell: dict[int, Tries] = {cell: Tries() for cell, _ in [*facts, *before]}
    for cell, fact in before:
        if fact.reason in DETERMINISTIC:
            by_cell[cell].deterministic += "quarantined" not in retry
        elif not fact.ok and "failed" not in retry:
            by_cell[cell].hopeless |= fact.reason == AGENT_LOST
            by_cell[cell].infrastructure += fact.reason != AGENT_LOST
    for cell, fact in sorted(facts, key=lambda pair: pair[1].attempt):
        by_cell[cell].note(fact, most_deterministic=1 if cell in quarantined else MOST_DETERMINISTIC)
    for tries in by_cell.values():
        kind = "quarantined" if tries.given_up == "quarantined" else "failed"
        if tries.given_up and not tries.ok and kind in retry:
            tries.try_again()
    return by_cell
