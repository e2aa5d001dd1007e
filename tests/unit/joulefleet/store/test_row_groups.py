"""Row groups: equality of rows, and how rows are divided into groups."""

from __future__ import annotations

import io
import math
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from joulefleet.schema import ATTEMPT_SCHEMA
from joulefleet.store.layout import StoreLayout
from joulefleet.store.row_groups import GROUP_ROWS, compacted_groups, loose_groups, rows_digest, write_groups
from tests.support.attempt_rows import attempt_row, write_store


def table(**overrides: Any) -> pa.Table:
    """Return a table of one attempt."""
    return pa.Table.from_pylist([attempt_row(**overrides)], schema=ATTEMPT_SCHEMA)


def reading(value: list[float | None] | None) -> list[dict[str, Any]]:
    """Return one channel with these values."""
    return [{"channel": "c", "unit": "s", "kind": "gauge", "source": "x", "t_ns": [1, 2], "value": value}]


def test_equal_rows_have_equal_digests_however_they_lie_in_memory() -> None:
    """Rows may be sliced, in chunks, or built again."""
    one, two = table(trial_id="1", labels={"a": "b"}), table(trial_id="2", cpus=[0, 1])
    both = pa.concat_tables([one, two])
    assert rows_digest(both.slice(1, 1)) == rows_digest(table(trial_id="2", cpus=[0, 1]))
    assert rows_digest(both) == rows_digest(both.combine_chunks())
    assert rows_digest(both) != rows_digest(pa.concat_tables([two, one]))


def test_nan_is_equal_to_itself() -> None:
    """NaN differs from itself in arithmetic, but its bits are equal."""
    nan = float("nan")
    assert rows_digest(table(window_s=nan)) == rows_digest(table(window_s=nan))
    assert rows_digest(table(window_s=nan)) != rows_digest(table(window_s=-nan))
    assert math.isnan(struct.unpack("d", struct.pack("d", nan))[0])


@pytest.mark.parametrize(
    "overrides",
    [
        {"window_s": -0.0},
        {"window_s": None},
        {"flags": None},
        {"flags": [""]},
        {"flags": [None]},
        {"labels": None},
        {"labels": {"": ""}},
        {"message": ""},
        {"virtualised": None},
        {"virtualised": True},
        {"items": 0},
        {"started_at": None},
        {"readings": None},
        {"readings": []},
        {"readings": reading(None)},
        {"readings": reading([])},
        {"readings": reading([None, None])},
        {"readings": reading([0.0, None])},
        {"readings": reading([None, 0.0])},
    ],
)
def test_a_difference_in_any_value_is_a_difference_in_the_digest(overrides: dict[str, Any]) -> None:
    """Null, empty and zero are three different values in every column."""
    base = {"window_s": 0.0, "flags": [], "labels": {}, "message": None, "virtualised": False, "items": None}
    base |= {"readings": reading([0.0, 0.0])}
    assert rows_digest(table(**base)) != rows_digest(table(**(base | overrides)))


def test_texts_do_not_run_into_each_other() -> None:
    """The digest contains where each text ends."""
    assert rows_digest(table(flags=["ab", "c"])) != rows_digest(table(flags=["a", "bc"]))


def test_loose_files_come_in_the_given_order_in_groups(tmp_path: Path) -> None:
    """The order does not depend on which connection reads a file."""
    rows = [attempt_row(trial_id=f"{number:03}") for number in range(GROUP_ROWS + 3)]
    layout = StoreLayout(write_store(tmp_path / "s", rows))
    names = [f"{row['attempt_id']}.parquet" for row in rows]
    names.reverse()
    groups = list(loose_groups(layout, names, tmp_path / "spill"))
    assert [group.num_rows for group in groups] == [GROUP_ROWS, 3]
    read = [f"{attempt}.parquet" for group in groups for attempt in group.column("attempt_id").to_pylist()]
    assert read == names


def test_a_written_group_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    """Each group is one row group, and steady columns are stored as differences."""
    group = pa.concat_tables([table(trial_id=str(number)) for number in range(5)]).combine_chunks()
    out = io.BytesIO()
    ids, digests = write_groups(out, [group, group.slice(0, 2)])
    assert ids == [*(f"{number}-r1-a1" for number in range(5)), "0-r1-a1", "1-r1-a1"]
    (tmp_path / "x.parquet").write_bytes(out.getvalue())
    file = pq.ParquetFile(tmp_path / "x.parquet")
    assert [rows_digest(file.read_row_group(number)) for number in range(2)] == digests
    assert file.schema_arrow == ATTEMPT_SCHEMA
    columns = [file.metadata.row_group(0).column(index) for index in range(file.metadata.num_columns)]
    steady = {column.path_in_schema for column in columns if "DELTA_BINARY_PACKED" in column.encodings}
    assert steady == {"latencies_ns.list.element", "readings.list.element.t_ns.list.element"}


def test_small_row_groups_are_joined(tmp_path: Path) -> None:
    """Row groups of several small compactions become one."""
    files = []
    for number in range(3):
        files.append(tmp_path / f"{number}.parquet")
        with files[-1].open("wb") as out:
            write_groups(out, [table(trial_id=str(number)), table(trial_id=f"{number}b")])
    (group,) = compacted_groups(files)
    assert group.column("trial_id").to_pylist() == ["0", "0b", "1", "1b", "2", "2b"]
