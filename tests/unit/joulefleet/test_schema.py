from io import BytesIO
from typing import Any

import pyarrow.parquet as pq
import pytest

from joulefleet.schema import ATTEMPT_SCHEMA, COLUMNS, attempt_table
from joulefleet.versions import SCHEMA_VERSION

EMPTY: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)

SUFFIX_UNITS = {"_s": "s", "_j": "J", "_w": "W", "_bytes": "B", "_percent": "%", "_mhz": "MHz", "_ns": "ns"}


def test_no_column_stands_twice() -> None:
    """A name means one thing."""
    assert len(EMPTY) == len(COLUMNS)


def test_a_name_and_its_unit_agree() -> None:
    """Whoever reads `window_s` may trust that it is seconds."""
    for column in COLUMNS:
        for suffix, unit in SUFFIX_UNITS.items():
            if column.name.endswith(suffix):
                assert column.unit == unit, column.name


def test_every_column_says_what_it_means_in_a_sentence() -> None:
    """The reference of the columns is made of these."""
    for column in COLUMNS:
        assert column.meaning.endswith("."), column.name


def test_measured_modelled_and_reported_energy_are_columns_of_their_own() -> None:
    """No number is invented: modelled joules never stand among measured ones."""
    energy = {name for name in EMPTY if name.endswith("_j")}
    assert {name for name in energy if "modelled" in name} == {"energy_modelled_j"}
    ours = {"energy_j", "energy_package_j", "baseline_j", "load_energy_j"}
    assert energy == {*ours, "energy_modelled_j", "energy_reported_j"}


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
    """Nothing is null because somebody forgot it."""
    row = dict(EMPTY)
    del row["energy_reason"]
    with pytest.raises(ValueError, match=r"\['energy_reason'\]"):
        attempt_table(row)


def test_a_row_with_an_unknown_column_is_refused() -> None:
    """No value gets lost for a misspelt name."""
    with pytest.raises(ValueError, match=r"\['energy_kwh'\]"):
        attempt_table(EMPTY | {"energy_kwh": 1.0})
