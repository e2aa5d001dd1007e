from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.soak.power_loss import HOOK, Shadow

WRITES = """
import os, sys
from pathlib import Path
from joulefleet.durable import append_durably, write_durably

box = Path("state/outbox/store")
write_durably(box / "kept.parquet", b"kept")
write_durably(box / "removed.parquet", b"removed")
write_durably(box / "forgotten.parquet", b"forgotten")
append_durably(Path("state/starts.jsonl"), b"one\\n")
(box / "removed.parquet").unlink()
os.fsync(os.open(box, os.O_RDONLY))
(box / "forgotten.parquet").unlink()
(box / "unsynced.parquet").write_bytes(b"unsynced")
(box / ".empty.tmp").write_bytes(b"empty")
(box / ".empty.tmp").rename(box / "empty.parquet")
os.fsync(os.open(box, os.O_RDONLY)) if sys.argv[1:] else None
with open("state/starts.jsonl", "ab") as journal:
    journal.write(b"two\\n")
Path("state/ray-node.json").write_text("{}")
"""


@pytest.fixture
def shadow(tmp_path: Path) -> Shadow:
    """The image of a machine whose state folder is empty."""
    (tmp_path / "state" / "outbox" / "store").mkdir(parents=True)
    (tmp_path / "seen").mkdir()
    made = Shadow(folder=tmp_path / "shadow")
    made.make()
    return made


def play(shadow: Shadow, folder: Path, *arguments: str) -> dict[str, bytes]:
    """Return what is left of a machine on which WRITES ran, after a loss of power."""
    kept = shadow.environment([folder / "state"], folder / "seen")
    path = os.pathsep.join([str(HOOK), str(Path(__file__).parents[2])])
    environment = os.environ | kept | {"PYTHONPATH": path, "SOAK_MACHINE": "m0"}
    subprocess.run([sys.executable, "-c", WRITES, *arguments], cwd=folder, env=environment, check=True)
    shadow.lose(folder / "state", names=["starts.jsonl"])
    shadow.lose(folder / "state" / "outbox")
    return {path.name: path.read_bytes() for path in (folder / "state").rglob("*") if path.is_file()}


def test_what_was_not_synced_is_gone_and_what_was_removed_comes_back(shadow: Shadow, tmp_path: Path) -> None:
    """Files outside the image stay as they are."""
    left = play(shadow, tmp_path)
    assert left == {
        "kept.parquet": b"kept",
        "forgotten.parquet": b"forgotten",
        "starts.jsonl": b"one\n",
        "ray-node.json": b"{}",
    }
    said = (tmp_path / "seen" / "durable.jsonl").read_text()
    assert said.count("kept") == said.count("removed") == 1
    assert (tmp_path / "seen" / "removed.parquet").read_bytes() == b"removed"


def test_a_name_that_was_synced_without_its_data_is_empty(shadow: Shadow, tmp_path: Path) -> None:
    """The file was renamed without a sync of its data."""
    left = play(shadow, tmp_path, "sync names")
    assert (left["unsynced.parquet"], left["empty.parquet"]) == (b"", b"")
    assert "forgotten.parquet" not in left


def test_power_may_be_lost_again(shadow: Shadow, tmp_path: Path) -> None:
    """After a loss, the image is what is on disk."""
    left = play(shadow, tmp_path)
    shadow.lose(tmp_path / "state" / "outbox")
    shadow.lose(tmp_path / "state", names=["starts.jsonl"])
    assert {path.name for path in (tmp_path / "state").rglob("*") if path.is_file()} == left.keys()
