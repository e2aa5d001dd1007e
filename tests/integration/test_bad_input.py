"""Mistakes of a user: each is one line with a cure and the documented exit code, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY

pytestmark = pytest.mark.usefixtures("environment")


def joulefleet(*arguments: str) -> tuple[int, str]:
    """Run the command line; return its exit code and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def plan(folder: Path, text: str) -> tuple[int, str]:
    """Plan a study with this text; return exit code and stderr."""
    (folder / "study.yaml").write_text(text)
    return joulefleet("plan", str(folder / "study.yaml"))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("regime: burst", "regimen: burst"), "regimen: unknown key; did you mean regime?"),
        (("repetitions: 2", "repetitions: many"), "repetitions"),
        (("baseline_s: 0.02", "baseline_s: -1"), "baseline_s"),
        (("student: small", "student: smal"), "did you mean small?"),
        (("  small:\n", "  small:\n    tasks: [one]\n"), "unequal tasks"),
        (("seed: 1", "seed: !!python/object/apply:os.system ['true']"), "tag"),
        (("seed: 1", "seed: &a 1\ndescription: *a"), "anchors and aliases"),
    ],
)
def test_a_bad_study_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    """The message gives the line and a cure; the exit code is 3."""
    assert change[0] in TINY_STUDY
    code, output = plan(tmp_path, TINY_STUDY.replace(*change))
    assert code == 3
    assert expected in output
    assert "study.yaml:" in output
    assert "Traceback" not in output


def test_an_unequal_head_is_a_mistake(tmp_path: Path) -> None:
    """The two models of a pair must do equal work."""
    start, end = TINY_STUDY.index("  small:"), TINY_STUDY.index("tasks:")
    hub = f"  small: {{hub: {{id: some/model, revision: {'a' * 40}}}}}\n"
    code, output = plan(tmp_path, TINY_STUDY[:start] + hub + TINY_STUDY[end:])
    assert (code, "unequal heads" in output) == (3, True)


def test_a_file_of_100_mb_is_refused_at_once(tmp_path: Path) -> None:
    """It is not read to its end first."""
    with (tmp_path / "study.yaml").open("wb") as file:
        file.truncate(100_000_000)
    code, output = joulefleet("plan", str(tmp_path / "study.yaml"))
    assert code == 3
    assert "items: file:" in output


def test_a_study_that_is_neither_file_nor_shipped_names_the_shipped(tmp_path: Path) -> None:
    """A misspelt name is answered with the closest name."""
    code, output = joulefleet("plan", "cain2042")
    assert code == 3
    assert "Did you mean cain2024?" in output


def test_a_folder_with_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    """Pickle files can run code, so they are never loaded."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "pytorch_model.bin").write_bytes(b"")
    start, end = TINY_STUDY.index("  small:"), TINY_STUDY.index("tasks:")
    code, output = plan(tmp_path, TINY_STUDY[:start] + f"  small: {{path: {model}, head: seeded}}\n" + TINY_STUDY[end:])
    assert code == 3
    assert "never loaded" in output


def test_a_data_file_without_a_column_is_named(tmp_path: Path) -> None:
    """A missing column is a mistake of the study; the message lists the columns that exist."""
    (tmp_path / "texts.csv").write_text("sentence\nfine\n")
    texts = {"tasks.one.items": {"file": {"path": "texts.csv"}}}
    text = changed(TINY_STUDY, texts | {f"models.{name}.tokenizer": str(tmp_path) for name in ("big", "small")})
    code, output = plan(tmp_path, text)
    assert code == 3
    assert "lacks text (its columns: sentence)" in output


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "no store"), ({"layout": 99, "store_id": "x"}, "newer Joulefleet"), ("damaged", "damaged")],
)
def test_a_folder_that_is_no_store_is_refused(tmp_path: Path, content: object, expected: str) -> None:
    """A folder without a store, a newer layout and a damaged store have exit code 4."""
    store = tmp_path / "store"
    store.mkdir()
    if content is not None:
        (store / "format.json").write_text(content if isinstance(content, str) else json.dumps(content))
    code, output = joulefleet("sql", "--store", str(store), "from trials")
    assert code == 4
    assert expected in output


def test_a_wrong_option_is_wrong_usage() -> None:
    """The exit code is 2, and the usage is shown."""
    code, output = joulefleet("run", "quick", "--sotre", "x")
    assert code == 2
    assert "--sotre" in output


def test_a_wrong_query_is_one_line() -> None:
    """Without a store the exit code is 4, and there is no traceback."""
    code, output = joulefleet("sql", "--store", "/nonexistent/store", "select")
    assert code == 4
    assert len(output.splitlines()) == 1
