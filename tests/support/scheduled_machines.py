"""A scheduler with machines that run its assignments at once, and the attempts that come of it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from coordinator.scheduling.attempt import AttemptFact
from coordinator.scheduling.scheduler import Assignment, Rest, Scheduler
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned

NEW_MODEL = {
    "architecture": {
        "model_type": "distilbert",
        "config": {"vocab_size": 2000, "dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 64},
    }
}
MORE_PAIR = {"teacher": "big", "student": "new"}
WITH_PILOT = changed(TINY_STUDY, {"measure.window": {"at_least_s": 2}})
MORE_BLOCKS = changed(TINY_STUDY, {"repetitions": 3})
WITH_NEW_MODEL = changed(TINY_STUDY, {"models.new": NEW_MODEL, "pairs.more": MORE_PAIR})
WITH_NEW_TASK = changed(TINY_STUDY, {"tasks.three": {"preset": "stsb", "items": {"synthetic": {"count": 4}}}})
START_S = 1_000_000.0
TRIAL_S = 10.0


@cache
def pinned(text: str = TINY_STUDY) -> Pinned:
    """Return the tiny study or another one, pinned once."""
    return tiny_pinned(text)


def tiny_design(text: str = TINY_STUDY) -> Design:
    """Return a design of two blocks of four cells, of which 0 and 2 are compared, and 1 and 3."""
    return Design(pinned(text), store_id="store")


def fact_of(
    design: Design,
    cell: int,
    *,
    block: int = 1,
    round: int = 1,  # noqa: A002 - the field's name
    attempt: int = 1,
    place: str = "m",
    machine_id: str = "m",
    boot_id: str | None = "boot",
    reason: str | None = None,
    kind: str = "trial",
    passes: int = 3,
    pass_s: float = 0.5,
    ended_s: float = START_S,
    protocol: str | None = None,
) -> AttemptFact:
    """Return an attempt that has ended: measured, or failed where there is a `reason`."""
    own = design.pilot_digest(cell) if kind == "pilot" else design.digest(cell, passes)
    return AttemptFact(
        trial_id=f"{kind}-{cell}-{block}-{place}",
        attempt_id=f"{kind}-{cell}-{block}-{place}-r{round}-a{attempt}-{machine_id}",
        place=place,
        machine_id=machine_id,
        boot_id=boot_id,
        kind=kind,
        block=block,
        round=round,
        attempt=attempt,
        cell=design.cells[cell],
        protocol=protocol or own,
        status="ok" if reason is None else "failed",
        reason=reason,
        window_s=None if reason is not None else pass_s * passes,
        passes=passes,
        wall_s=TRIAL_S,
        ended_s=ended_s,
    )


class ScheduledMachines:
    """A scheduler with its clock. Each machine is in its own place, unless `place` is given."""

    def __init__(
        self,
        text: str = TINY_STUDY,
        facts: Iterable[AttemptFact] = (),
        *,
        machines: Iterable[str] = ("m",),
        place: str | None = None,
        retry: frozenset[str] = frozenset(),
    ) -> None:
        self.design = tiny_design(text)
        self.scheduler = Scheduler(self.design, facts, retry=retry)
        self.now_s = START_S
        self.place = place
        self.facts: list[AttemptFact] = []
        self.boots: dict[str, str] = {}
        for machine_id in machines:
            self.join(machine_id)

    def join(self, machine_id: str, *, boot_id: str = "boot") -> None:
        """Let the machine join."""
        self.boots[machine_id] = boot_id
        self.scheduler.join(machine_id, place=self.place or machine_id, boot_id=boot_id)

    def next(self, machine_id: str = "m") -> Assignment:
        """Return what the machine does next, which must be an assignment."""
        found = self.scheduler.next(machine_id, self.now_s)
        assert isinstance(found, Assignment), found
        return found

    def rest(self, machine_id: str = "m") -> Rest:
        """Return why the machine does nothing, which it must."""
        found = self.scheduler.next(machine_id, self.now_s)
        assert isinstance(found, Rest), found
        return found

    def fact(self, done: Assignment, reason: str | None = None, *, pass_s: float = 0.5) -> AttemptFact:
        """Return the attempt of an assignment that is carried out now."""
        passes = self.scheduler.places[done.place].passes
        return fact_of(
            self.design,
            done.cell,
            block=done.block,
            round=done.round,
            attempt=done.attempt,
            place=done.place,
            machine_id=done.machine_id,
            boot_id=self.boots[done.machine_id],
            reason=reason,
            kind=done.kind,
            passes=1 if done.kind == "pilot" or passes is None else passes[done.cell],
            pass_s=pass_s,
            ended_s=self.now_s,
        )

    def end(self, done: Assignment, reason: str | None = None, *, pass_s: float = 0.5) -> None:
        """End an assignment ten seconds later."""
        self.now_s += TRIAL_S
        fact = self.fact(done, reason, pass_s=pass_s)
        self.facts.append(fact)
        self.scheduler.ended(fact, machine_id=done.machine_id)

    def do(self, machine_id: str = "m", reason: str | None = None, *, pass_s: float = 0.5) -> Assignment:
        """Run one trial from its beginning to its end."""
        done = self.next(machine_id)
        self.end(done, reason, pass_s=pass_s)
        return done

    def finish(self, machine_id: str = "m") -> list[Assignment]:
        """Run all that is left for the machine; return the assignments."""
        done = []
        while isinstance(self.scheduler.next(machine_id, self.now_s), Assignment):
            self.scheduler.release(machine_id)
            done.append(self.do(machine_id))
            assert len(done) < 1000
        return done
