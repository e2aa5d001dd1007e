"""The state of a store as plain text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from coordinator.store.lock_holder import StoreCoordinator
from coordinator.store.status import StoreState
from coordinator.text import printable, table_lines
from joulefleet.query.progress import StudyProgress


def state_lines(state: StoreState) -> Iterator[str]:
    """Yield the lines of `state`: who writes, progress by study and machine, failures, and what each machine does."""
    yield printable(f"{state.store}: {_coordinator_text(state.coordinator)}")
    if not state.studies:
        yield "The store has no study yet. `joulefleet run STUDY` runs one."
        return
    yield ""
    rows = [row for study in state.studies for row in _rows(study)]
    yield from table_lines(
        ("study", "machine", "trials", "ok", "failed", "missing", "done"), rows, right=(2, 3, 4, 5, 6)
    )
    for study in state.studies:
        if study.imported_from is not None:
            never = f"; {study.missing} of its {study.planned} runs were never done there" if study.missing else ""
            yield printable(f"{study.study} was imported from {study.imported_from}{never}.")
        if study.failures:
            reasons = ", ".join(f"{reason} ×{count}" for reason, count in study.failures.items())
            yield printable(f"{study.study} failed: {reasons}")
    if state.now:
        yield ""
        yield from table_lines(("machine", "doing"), [(now.name, now.doing) for now in state.now])
    if state.expected_end is not None:
        without = f", without {', '.join(state.not_expected)}" if state.not_expected else ""
        yield printable(f"Expected to be done at {state.expected_end.astimezone():%Y-%m-%d %H:%M %Z}{without}.")


def _coordinator_text(coordinator: StoreCoordinator | None) -> str:
    if coordinator is None:
        return "no run is writing to it"
    if coordinator.pid is None:
        return "a coordinator writes to it"
    return (
        f"process {coordinator.pid} on {coordinator.hostname} runs {coordinator.study} "
        f"since {_time(coordinator.since)} (epoch {coordinator.epoch})"
    )


def _time(iso: str | None) -> str:
    try:
        return f"{datetime.fromisoformat(iso or '').astimezone():%Y-%m-%d %H:%M:%S %Z}"
    except ValueError:
        return "an unknown time"


def _rows(study: StudyProgress) -> Iterator[tuple[str, ...]]:
    several = len(study.machines) > 1
    name = study.study
    for machine in sorted(study.machines, key=lambda machine: machine.name):
        yield (name, machine.name, *_counts(machine.planned, machine.ok, machine.failed))
        name = ""
    if several or not study.machines:
        yield (name, "all", *_counts(study.planned, study.ok, study.failed))


def _counts(planned: int, ok: int, failed: int) -> tuple[str, ...]:
    done = f"{100 * (ok + failed) // planned} %" if planned else "–"
    return (str(planned), str(ok), str(failed), str(planned - ok - failed), done)
