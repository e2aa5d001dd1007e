"""Whatever is committed, compacted and cut off in whatever order, a store holds every attempt once."""

from __future__ import annotations

import tempfile
from contextlib import suppress
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from joulefleet.store.compaction import compact
from joulefleet.store.layout import StoreLayout
from tests.support.attempt_rows import attempt_row, write_attempt, write_store
from tests.support.compaction_crashes import CrashAt, CrashError, attempts_of

ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("commit"), st.integers(1, 3)),
        st.tuples(st.just("again"), st.integers(0, 20)),
        st.tuples(st.just("compact"), st.none() | st.integers(0, 12)),
    ),
    min_size=1,
    max_size=8,
)


@given(ACTS)
@settings(max_examples=12)
def test_every_attempt_counts_once_after_any_history(acts: list[tuple[str, int | None]]) -> None:
    """An attempt may be committed again, as when its acknowledgement was lost; a compaction may end at any step."""
    with tempfile.TemporaryDirectory() as folder:
        store = write_store(Path(folder) / "s", [])
        committed: list[str] = []
        for what, number in acts:
            if what == "commit":
                for _ in range(number or 0):
                    committed.append(f"t{len(committed)}")
                    write_attempt(store, attempt_row(trial_id=committed[-1], block=len(committed)))
            elif what == "again" and number is not None and number < len(committed):
                write_attempt(store, attempt_row(trial_id=committed[number], block=number + 1))
            elif what == "compact":
                with suppress(CrashError):
                    compact(StoreLayout(store), on_step=CrashAt(number))
                check(store, committed)
        check(store, committed)


def check(store: Path, committed: list[str]) -> None:
    """Hold that `store` has each of the trials `committed` once, with its own row."""
    rows = [(row["trial_id"], row["block"]) for row in attempts_of(store)]
    assert sorted(rows) == sorted((trial, block) for block, trial in enumerate(committed, start=1))
