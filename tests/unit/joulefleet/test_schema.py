from io import BytesIO
from typing import Any

import pyarrow.parquet as pq
import pytest

from joulefleet.measurement import Channel, Energy, Phase, Readings
from joulefleet.schema import ATTEMPT_SCHEMA, COLUMNS, attempt_table, columns_of, complete_row
from joulefleet.versions import SCHEMA_VERSION

EMPTY: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)

SUFFIX_UNITS = {"_s": "s", "_j": "J", "_w": "W", "_bytes": "B", "_percent": "%", "_mhz": "MHz", "_ns": "ns"}


def test_no_column_stands_twice() -> None:
    """A name means one thing."""
    assert len(EMPTY) == len(COLUMNS)


def test_a_name_and_its_unit_agree() -> None:
    """A reader of `window_s` can rely on seconds."""
    for column in COLUMNS:
        for suffix, unit in SUFFIX_UNITS.items():
            if column.name.endswith(suffix):
                assert column.unit == unit, column.name


def test_the_meaning_of_every_column_is_a_sentence() -> None:
    """The reference documentation shows it."""
    for column in COLUMNS:
        assert column.meaning.endswith("."), column.name


def test_measured_modelled_and_reported_energy_are_columns_of_their_own() -> None:
    """Modelled joules never stand in a column of measured ones."""
    energy = {name for name in EMPTY if name.endswith("_j")}
    assert {name for name in energy if "modelled" in name} == {"energy_modelled_j"}
    measured = {"energy_j", "energy_package_j", "baseline_j", "load_energy_j"}
    assert energy == {*measured, "energy_modelled_j", "energy_reported_j"}


def test_a_row_survives_parquet() -> None:
    """Types, nested readings and nulls come back as they were written, units too."""
    readings = {"channel": "package-0", "unit": "uJ", "kind": "counter", "source": "powercap"}
    row = EMPTY | {
        "schema_version": SCHEMA_VERSION,
        "trial_id": "abc",
        "energy_j": 1.5,
        "flags": ["foreign_cpu"],
        "libraries": [("torch", "2.13.0")],
        "readings": [readings | {"t_ns": [1, 2], "value": [0.5, None]}],
    }
    file = BytesIO()
    pq.write_table(attempt_table(row), file)
    table = pq.read_table(file)
    assert table.to_pylist() == [row]
    assert table.schema.field("window_s").metadata[b"unit"] == b"s"
    assert table.schema.equals(ATTEMPT_SCHEMA)


def test_a_row_without_a_column_is_refused() -> None:
    """No column is null because it was forgotten."""
    row = dict(EMPTY)
    del row["energy_reason"]
    with pytest.raises(ValueError, match=r"\['energy_reason'\]"):
        attempt_table(row)


def test_a_row_with_an_unknown_column_is_refused() -> None:
    """No value is lost because of a misspelt name."""
    with pytest.raises(ValueError, match=r"\['energy_kwh'\]"):
        attempt_table(EMPTY | {"energy_kwh": 1.0})


def test_a_complete_row_is_null_where_it_has_no_value() -> None:
    """Only the version of the schema is filled in."""
    row = complete_row({"study": "s"})
    assert {name: value for name, value in row.items() if value is not None} == {
        "schema_version": SCHEMA_VERSION,
        "study": "s",
    }
    assert list(row) == [column.name for column in COLUMNS]


def test_a_complete_row_takes_no_unknown_column() -> None:
    """It would be lost in the table."""
    with pytest.raises(ValueError, match=r"\['energy_kwh'\]"):
        complete_row({"energy_kwh": 1.0})


def test_records_and_mappings_become_structs_and_lists() -> None:
    """The agent's rows and imported ones are built in this one way."""
    energy = Energy(phase="window", domain="package", source="powercap", provenance="measured", joules=1.5)
    channel = Channel(name="package-0", unit="uJ", kind="counter", source="powercap")
    row = complete_row(
        {
            "labels": {"rack": "3"},
            "flags": ("steal",),
            "phases": (Phase(name="window", start_ns=0, end_ns=2_000_000_000, cpu_s=1.0),),
            "energies": (energy,),
            "readings": (Readings(channel=channel, t_ns=[1, 2], value=[0.5, float("nan")]),),
        }
    )
    assert (row["labels"], row["flags"]) == ([("rack", "3")], ["steal"])
    assert row["phases"] == [
        {"phase": "window", "start_ns": 0, "end_ns": 2 * 10**9, "seconds": 2.0, "cpu_s": 1.0, "machine_cpu_s": None}
    ]
    assert row["energies"][0]["joules"] == 1.5
    assert row["readings"][0] | {"channel": "package-0", "value": [0.5, None]} == row["readings"][0]
    assert attempt_table(row).to_pylist()[0]["energies"] == row["energies"]


def test_fields_that_are_no_columns_are_left_out() -> None:
    """A record may hold more than a row does."""
    energy = Energy(phase="window", domain="psys", source="powercap", provenance="measured", joules=1.0, reason=None)
    assert columns_of(energy) == {"reason": None}
