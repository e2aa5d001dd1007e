"""One block of one place: which of its trials are settled, and in which round.

A comparison holds within a block and a round. A block that was interrupted for long, or whose machine
was restarted meanwhile, goes on in a next round: groups of cells that are whole stay as they are,
and what is left of the others runs again together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from coordinator.scheduling.attempt import AGENT_LOST, DETERMINISTIC, AttemptFact

COHERENT_S = 3600.0
"""A block that rested for longer is another day's: machine, room and neighbours may have changed."""

MOST_DETERMINISTIC = 2
"""A failure of the work is tried once more; then the trial is in quarantine."""

LOST = "the agent was lost again and again"

MOST_INFRASTRUCTURE = 3
"""A failure of the infrastructure is tried so often in all."""


@dataclass(slots=True)
class Tries:
    """What became of one cell in the present round of a block. Its failures are counted on from round to round."""

    attempt: int = 0
    """The number of the last attempt that ended."""
    ok: bool = False
    given_up: str = ""
    """Why it is not tried again."""
    deterministic: int = 0
    infrastructure: int = 0
    hopeless: bool = False
    """Its agent was lost for good in an earlier round: it is not run again in this block."""
    _seen: tuple[str, ...] = ()

    @property
    def settled(self) -> bool:
        """Whether there is nothing more to do."""
        return self.ok or bool(self.given_up)

    def note(self, fact: AttemptFact, *, most_deterministic: int = MOST_DETERMINISTIC) -> None:
        """One more attempt has ended. The same attempt again changes nothing."""
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
        """As if it had never failed; attempts are counted on."""
        self.given_up, self.deterministic, self.infrastructure, self.hopeless = "", 0, 0, False


@dataclass(slots=True)
class BlockProgress:
    """One repetition of every cell at one place."""

    number: int
    order: Sequence[int]
    groups: Sequence[Sequence[int]]
    round: int = 1
    why: str = ""
    """Why there is this round, of the second and later ones."""
    holder: str | None = None
    """The machine whose block it is."""
    boot_id: str | None = None
    """The boot in which the present round began."""
    touched: bool = False
    """Whether a trial of the present round was handed out: it may have ended without anyone knowing yet."""
    last_s: float | None = None
    """When the last attempt of the present round ended, seconds since 1970; None before its first."""
    tries: dict[int, Tries] = field(default_factory=dict)
    good: int = 0
    """Cells that were measured."""
    bad: int = 0
    """Cells that were given up."""
    _at: int = 0
    """All cells of the order before this one were tried in the present round, or are settled."""

    def of(self, cell: int) -> Tries:
        """The tries of `cell`."""
        found = self.tries.get(cell)
        if found is None:
            found = self.tries[cell] = Tries()
        return found

    @property
    def complete(self) -> bool:
        """Whether every cell is settled."""
        return self.good + self.bad >= len(self.order)

    def choose(self, last: int | None) -> int:
        """The next cell, of a block that is not complete. One that would follow itself waits, if another can go."""
        order, tries, at = self.order, self.tries, self._at
        while at < len(order) and (found := tries.get(order[at])) is not None and (found.attempt or found.ok):
            at += 1
        self._at = at
        if at < len(order) and order[at] != last:
            return order[at]
        left = self.to_do()
        first = next(left)
        return first if first != last else next(left, first)

    def to_do(self) -> Iterator[int]:
        """The cells that are left, in their order; what failed comes last."""
        failed = []
        for cell in self.order:
            found = self.tries.get(cell)
            if found is None or not found.attempt:
                yield cell
            elif not found.settled:
                failed.append(cell)
        yield from failed

    def note(self, fact: AttemptFact, cell: int, *, most_deterministic: int = MOST_DETERMINISTIC) -> Tries | None:
        """An attempt of this block has ended. None where it is no more than data.

        That is one of an earlier round, or of a machine that had the block before: what is compared lies within
        one round on one machine.
        """
        if fact.round != self.round or (self.touched and fact.machine_id != self.holder):
            if fact.reason == AGENT_LOST:
                self.of(cell).hopeless = True
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
        # The row of a lost agent was written by the coordinator: nothing was measured then, in whatever boot.
        if fact.reason != AGENT_LOST:
            self.boot_id = fact.boot_id
            if self.last_s is None or fact.ended_s > self.last_s:
                self.last_s = fact.ended_s
        return tries

    def incoherent(self, *, machine_id: str, boot_id: str | None, now_s: float) -> str | None:
        """Why what is left of the round cannot be measured with what it has, on this machine at this time."""
        if self.touched and self.holder != machine_id:
            return "another machine had begun it"
        if self.last_s is None:
            return None
        if boot_id is not None and self.boot_id is not None and self.boot_id != boot_id:
            return "the machine was restarted meanwhile"
        gap_s = now_s - self.last_s
        if gap_s > COHERENT_S:
            return f"it had rested for {gap_s / 3600:.1f} h"
        # How long it rested cannot be told: an hour or more may have gone unnoticed.
        return f"a clock was set back by {-gap_s / 3600:.1f} h" if gap_s < -COHERENT_S else None

    def begin_again(self, why: str) -> list[int]:
        """The next round: of every group that is not whole, all cells. Returns those that had been settled."""
        self.round += 1
        self.why, self.last_s, self.boot_id, self.holder, self.touched = why, None, None, None, False
        again: list[int] = []
        for group in self.groups:
            mine = [(cell, self.tries[cell]) for cell in group if cell in self.tries]
            if len(mine) == len(group) and all(tries.settled for _, tries in mine):
                continue
            again += [cell for cell, tries in mine if tries.settled]
            # If failures were forgotten, one trial that fails and one that restarts the machine would go on for ever.
            for cell, tries in mine:
                self.tries[cell] = Tries(
                    deterministic=tries.deterministic,
                    infrastructure=tries.infrastructure,
                    hopeless=tries.hopeless or tries.given_up == LOST,
                )
        self.count()
        return again

    def count(self) -> None:
        """Count anew what is settled."""
        self._at = 0
        self.good = sum(tries.ok for tries in self.tries.values())
        self.bad = sum(tries.settled and not tries.ok for tries in self.tries.values())


def block_from(
    number: int,
    order: Sequence[int],
    groups: Sequence[Sequence[int]],
    facts: Iterable[tuple[int, AttemptFact]],
    *,
    poor: AbstractSet[int] = frozenset(),
    retry: frozenset[str] = frozenset(),
) -> BlockProgress:
    """The block as the attempts in a store leave it; `facts` are (cell, attempt) of the protocols in force.

    `poor` are cells that are in quarantine in some block: one failure is enough for them.
    `retry` names what is tried again although it was given up: `failed`, `quarantined`.
    """
    by_round: dict[tuple[int, str], list[tuple[int, AttemptFact]]] = {}
    for cell, fact in facts:
        by_round.setdefault((fact.round, fact.machine_id), []).append((cell, fact))
    block = BlockProgress(number=number, order=order, groups=groups)
    if not by_round:
        return block
    # Where a machine's row came late, two have attempts of a round: the block is that one's which has more of it.
    newest, holder = max(by_round, key=lambda at: (at[0], len(by_round[at]), max(f.ended_s for _, f in by_round[at])))
    known: dict[tuple[int, str], dict[int, Tries]] = {}
    for at, mine in by_round.items():
        before = [pair for other, theirs in by_round.items() if other[0] < at[0] for pair in theirs]
        known[at] = _tries(mine, before, poor=poor, retry=retry)
    for group in groups:
        # The newest round that has all of it is the one that the analysis accepts: if nothing is left to do in it, it
        # stands, whatever rounds other groups were in later.
        whole = [at for at, tries in known.items() if all(cell in tries and tries[cell].attempt for cell in group)]
        stands = max(whole, default=(newest, holder))
        settled = all(cell in known[stands] and known[stands][cell].settled for cell in group)
        found = known[stands] if settled else known[newest, holder]
        block.tries |= {cell: found[cell] for cell in group if cell in found}
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
    poor: AbstractSet[int],
    retry: frozenset[str],
) -> dict[int, Tries]:
    """What became of the cells of one round on one machine; `before` are the attempts of earlier rounds."""
    found: dict[int, Tries] = {cell: Tries() for cell, _ in [*facts, *before]}
    for cell, fact in before:
        if fact.reason in DETERMINISTIC:
            found[cell].deterministic += "quarantined" not in retry
        elif not fact.ok and "failed" not in retry:
            found[cell].hopeless |= fact.reason == AGENT_LOST
            found[cell].infrastructure += fact.reason != AGENT_LOST
    for cell, fact in sorted(facts, key=lambda pair: pair[1].attempt):
        found[cell].note(fact, most_deterministic=1 if cell in poor else MOST_DETERMINISTIC)
    for tries in found.values():
        kind = "quarantined" if tries.given_up == "quarantined" else "failed"
        if tries.given_up and not tries.ok and kind in retry:
            tries.try_again()
    return found
