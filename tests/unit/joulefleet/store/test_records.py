"""The record of a study as a file."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from joulefleet.errors import StoreError
from joulefleet.store.layout import StoreLayout
from joulefleet.store.records import (
    ImportRecord,
    StudyRecord,
    comparands_table,
    newest,
    read_protocols,
    read_studies,
    studies_table,
)
from tests.support.attempt_rows import STARTED, record_of, study_from

FILE = Path("/store/studies/x.json")
MEASURED = replace(
    record_of(study_from(), machines=(("m1", "one"), ("m2", "two"))),
    places=(("class", "two machines"),),
    model_digests={"bert": "0" * 20},
    task_digests={"sst2": "1" * 20},
)
IMPORTED = StudyRecord(
    definition={"name": "theirs", "description": "ours", "models": {"big": {}}, "tasks": {"one": {}}},
    machines=(("m1", "one"),),
    places=(("m1", "one"),),
    comparands=MEASURED.comparands[:1],
    requested_at=STARTED,
    imported=ImportRecord(tool="codecarbon", planned={"m1": 4}, content="2" * 20, mapping={"task": {"value": "one"}}),
)


@pytest.mark.parametrize("record", [MEASURED, IMPORTED], ids=["measured", "imported"])
def test_what_is_written_is_read_back_the_same(record: StudyRecord) -> None:
    """Also its digest, which is not taken from the file."""
    read = StudyRecord.from_json(record.to_json(), FILE)
    assert read == replace(record, file=FILE)
    assert read.digest == record.digest == json.loads(record.to_json())["digest"]
    assert read.to_json() == record.to_json()


def test_the_digest_is_that_of_the_request_and_not_of_its_time() -> None:
    """Resuming a study on another day records nothing; another machine does."""
    assert replace(MEASURED, requested_at=STARTED + timedelta(days=1), file=FILE).digest == MEASURED.digest
    assert replace(MEASURED, machines=(("m1", "one"),)).digest != MEASURED.digest
    assert replace(MEASURED, model_digests={"bert": "2" * 20}).digest != MEASURED.digest


def test_a_record_knows_its_study_and_its_origin() -> None:
    """A measured study has no tool."""
    assert (MEASURED.name, MEASURED.imported_from) == ("twelve", None)
    assert (IMPORTED.name, IMPORTED.imported_from) == ("theirs", "codecarbon")


def _without(record: StudyRecord, *path: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(record.to_json())
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return data


@pytest.mark.parametrize(
    ("data", "what"),
    [
        *[
            (_without(MEASURED, key), f"no '{key}'")
            for key in ("study", "store_layout", "machines", "places", "comparands", "requested_at", "models", "tasks")
        ],
        *[
            (_without(MEASURED, "study", key), f"no '{key}'")
            for key in ("name", "regime", "seed", "repetitions", "models", "tasks")
        ],
        *[(_without(IMPORTED, "imported", key), f"no '{key}'") for key in ("from", "planned_at", "content", "mapping")],
        ([], "list indices"),
        ({"store_layout": "one"}, "invalid literal"),
        (_without(MEASURED, "digest") | {"machines": [{"machine_id": 1, "name": "x"}]}, "1 is no text"),
        (_without(MEASURED, "digest") | {"requested_at": "yesterday"}, "Invalid isoformat"),
        (_without(MEASURED, "digest") | {"models": ["bert"]}, "no attribute 'items'"),
    ],
)
def test_a_damaged_record_is_one_error_that_names_the_file_and_what_is_wrong(data: Any, what: str) -> None:
    """Whatever is missing or of another type."""
    with pytest.raises(StoreError, match=rf"^{FILE}: damaged, or not the record of a study \(.*{what}") as caught:
        StudyRecord.from_json(json.dumps(data).encode(), FILE)
    assert "Restore it from a copy" in caught.value.cure


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_file_that_is_no_json_is_the_same_error(text: bytes) -> None:
    """Also one that is cut off or nested without end."""
    with pytest.raises(StoreError, match="damaged, or not the record of a study"):
        StudyRecord.from_json(text, FILE)


def test_a_record_of_a_newer_layout_is_refused() -> None:
    """Its keys may mean something else."""
    with pytest.raises(StoreError, match=r"written by a newer Joulefleet\. Install"):
        StudyRecord.from_json(b'{"store_layout": 99}', FILE)


def test_studies_are_read_oldest_first(tmp_path: Path) -> None:
    """Whatever their files are called; the last of each name is the newest."""
    layout = StoreLayout(tmp_path)
    assert read_studies(layout) == []
    layout.studies.mkdir()
    later = replace(MEASURED, requested_at=STARTED + timedelta(hours=1), machines=())
    for name, record in (("a", later), ("b", MEASURED), ("c", IMPORTED)):
        (layout.studies / f"{name}.json").write_bytes(record.to_json())
    records = read_studies(layout)
    assert [record.requested_at for record in records] == [STARTED, STARTED, later.requested_at]
    assert newest(records)["twelve"].machines == ()
    assert set(newest(records)) == {"twelve", "theirs"}


def test_the_tables_have_a_row_for_each_version_and_comparand() -> None:
    """An imported study has no seed and no repetitions."""
    measured, imported = studies_table([MEASURED, IMPORTED]).to_pylist()
    assert (measured["study"], measured["repetitions"], measured["tasks"]) == ("twelve", 3, ["sst2", "stsb", "mnli"])
    assert measured["machines"] == [{"machine_id": "m1", "machine": "one"}, {"machine_id": "m2", "machine": "two"}]
    assert json.loads(measured["definition"]) == MEASURED.definition
    assert (imported["study"], imported["seed"], imported["repetitions"], imported["description"]) == (
        "theirs",
        None,
        None,
        "ours",
    )
    pairs = [(row["study"], row["pair"], row["teacher"]) for row in comparands_table([MEASURED, IMPORTED]).to_pylist()]
    assert pairs == [("twelve", "bert", "bert"), ("twelve", "gpt2", "gpt2"), ("theirs", "bert", "bert")]


def test_a_plan_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    """It only says which trials are out of date."""
    layout = StoreLayout(tmp_path)
    assert read_protocols(layout, "one") == {}
    layout.plans.mkdir()
    for name, text in (
        ("a", '{"study": "one", "place": "m1", "protocols": ["p", "q"]}'),
        ("b", '{"study": "two", "place": "m1", "protocols": ["r"]}'),
        ("c", '{"study": "one", "place": "m2"}'),
        ("d", "{"),
    ):
        (layout.plans / f"{name}.json").write_text(text)
    assert read_protocols(layout, "one") == {"m1": {"p", "q"}}
