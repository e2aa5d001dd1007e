from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.soak.checker import check

BEGAN = 1_700_000_000.0


class Folder:
    """A soak's folder with one machine and one study of two trials, each of which ran once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("store/attempts", "store/compacted", "store/manifest", "seen", "machines/m0/state/outbox/s"):
            (root / name).mkdir(parents=True)
        self.write("plan.json", [{"study": "tiny", "repetitions": 2, "machine": "m0", "model": "big", "task": "one"}])
        self.lines("soak.jsonl")
        for block in (1, 2):
            self.measured(self.row(block))

    def row(self, block: int, **changes: Any) -> dict[str, Any]:
        """Return a row of the trial of `block`."""
        row: dict[str, Any] = {
            "study": "tiny",
            "trial_id": f"t{block}",
            "attempt_id": f"t{block}-r1-a1",
            "kind": "trial",
        }
        row |= {"attempt": 1, "round": 1, "place": "id0", "machine": "m0", "machine_id": "id0", "model": "big"}
        row |= {"task": "one", "block": block, "comparison_group": "g", "comparison_group_size": 1}
        return row | {"status": "ok", "reason": None, "began": BEGAN + 10 * block, "wall_s": 5.0} | changes

    def measured(self, row: dict[str, Any], *, epoch: int = 1) -> None:
        """Record a trial that was started, was durable in the outbox, and is in the store."""
        attempt_id, began = row["attempt_id"], row["began"]
        self.started(attempt_id, began + 1, epoch=epoch)
        about = {"machine": "m0", "store_id": "s", "attempt_id": attempt_id}
        self.lines("seen/durable.jsonl", {"at": began + row["wall_s"], **about})
        self.lines("soak.jsonl", {"at": began + row["wall_s"] + 1, "what": "let_go", **about})
        self.parquet(f"seen/{attempt_id}.parquet", row)
        self.parquet(f"store/attempts/{attempt_id}.parquet", row)

    def started(self, attempt_id: str, at: float, *, epoch: int = 1) -> None:
        """Write a line in the journal."""
        line = {"at": at, "attempt_id": attempt_id, "store_id": "s", "kind": "trial", "epoch": epoch}
        self.lines("machines/m0/state/starts.jsonl", line)

    def parquet(self, name: str, *rows: dict[str, Any]) -> None:
        """Write a file of rows."""
        lines = [row | {"started_at": datetime.fromtimestamp(row["began"], tz=UTC).isoformat()} for row in rows]
        source = self.root / "rows.json"
        source.write_text(json.dumps(lines))
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = "* REPLACE (CAST(started_at AS TIMESTAMPTZ) AS started_at, CAST(reason AS VARCHAR) AS reason)"
        duckdb.execute(f"COPY (SELECT {columns} FROM read_json('{source}')) TO '{path}' (FORMAT parquet)")  # noqa: S608
        source.unlink()

    def write(self, name: str, data: object) -> None:
        """Write a JSON file."""
        (self.root / name).write_text(json.dumps(data))

    def lines(self, name: str, *lines: object) -> None:
        """Append lines to a file."""
        with (self.root / name).open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def compact(self, *rows: dict[str, Any]) -> None:
        """Replace loose files by a compacted one."""
        self.parquet("store/compacted/c.parquet", *rows)
        self.write("store/manifest/c.json", {"file": "c.parquet", "attempts": [], "replaces": []})
        for row in rows:
            self.store_file(row).unlink(missing_ok=True)

    def store_file(self, row: dict[str, Any]) -> Path:
        """Return the loose file of a row."""
        return self.root / "store" / "attempts" / f"{row['attempt_id']}.parquet"


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder without any fault."""
    return Folder(tmp_path)


def laws(folder: Folder) -> list[str]:
    """Return the laws that are broken."""
    return [broken.law for broken in check(folder.root)]


def test_nothing_is_amiss_in_a_clean_folder(folder: Folder) -> None:
    """Compacted files, a torn line of the journal and a second attempt at a failed trial break no law."""
    assert laws(folder) == []
    folder.compact(folder.row(1), folder.row(2))
    failed = folder.row(1, attempt_id="t1-r1-a2", attempt=2, status="failed", reason="killed", began=BEGAN + 30)
    folder.measured(failed, epoch=2)
    with (folder.root / "machines/m0/state/starts.jsonl").open("a") as journal:
        journal.write('{"at": 1')
    assert laws(folder) == []


def _removed(folder: Folder) -> None:
    folder.store_file(folder.row(1)).unlink()


def _changed(folder: Folder) -> None:
    folder.compact(folder.row(1, wall_s=4.0), folder.row(2))


def _twice(folder: Folder) -> None:
    folder.compact(folder.row(1), folder.row(1), folder.row(2))


def _two_trials(folder: Folder) -> None:
    folder.measured(folder.row(2, trial_id="t3", attempt_id="t3-r1-a1", began=BEGAN + 30))


def _again(folder: Folder) -> None:
    folder.started("t1-r1-a1", BEGAN + 40)


def _no_start(folder: Folder) -> None:
    (folder.root / "machines/m0/state/starts.jsonl").unlink()


def _intruder(folder: Folder) -> None:
    row = folder.row(1, study="other", trial_id="x", attempt_id="x-r1-a1", began=BEGAN + 14)
    folder.parquet("intruders/m0-1/store/attempts/x-r1-a1.parquet", row)


def _older_again(folder: Folder) -> None:
    folder.started("p1", BEGAN + 50, epoch=3)
    folder.started("p2", BEGAN + 51, epoch=2)


def _empty_file(folder: Folder) -> None:
    (folder.root / "store/attempts/t9-r1-a1.parquet").write_bytes(b"")


def _traceback(folder: Folder) -> None:
    folder.lines("soak.jsonl", {"at": 1.0, "what": "ended", "number": 1, "code": 1, "killed": False, "traceback": True})


@pytest.mark.parametrize(
    ("harm", "broken"),
    [
        (_removed, ["lost", "missing"]),
        (_changed, ["altered"]),
        (_twice, ["duplicated", "overlapping"]),
        (_two_trials, ["duplicated"]),
        (_again, ["repeated"]),
        (_no_start, ["unstarted"]),
        (_intruder, ["overlapping"]),
        (_older_again, ["epochs_back"]),
        (_empty_file, ["torn"]),
        (_traceback, ["unruly"]),
    ],
)
def test_each_harm_breaks_its_law(folder: Folder, harm: Callable[[Folder], None], broken: list[str]) -> None:
    """It breaks no other law."""
    harm(folder)
    assert laws(folder) == broken


def test_what_is_back_in_the_outbox_is_not_lost_unless_it_was_let_go(folder: Folder) -> None:
    """An outbox lets a row go only when the store has acknowledged it."""
    row = folder.row(3)
    folder.parquet("machines/m0/state/outbox/s/t3-r1-a1.parquet", row)
    folder.lines("seen/durable.jsonl", {"at": 1.0, "machine": "m0", "store_id": "s", "attempt_id": "t3-r1-a1"})
    assert laws(folder) == []
    folder.lines("soak.jsonl", {"what": "let_go", "machine": "m0", "attempt_id": "t3-r1-a1"})
    assert laws(folder) == ["lost"]
