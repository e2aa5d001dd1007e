"""What a user can get wrong: one line a mistake, a cure, the documented exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.trials import TINY_STUDY

pytestmark = pytest.mark.usefixtures("environment")


def joulefleet(*arguments: str) -> tuple[int, str]:
    """Exit code and stderr of the command line."""
    done = subprocess.run(
        [sys.executable, "-m", "coordinator", *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def plan(folder: Path, text: str) -> tuple[int, str]:
    """Planning a study with this text."""
    (folder / "study.yaml").write_text(text)
    return joulefleet("plan", str(folder / "study.yaml"))


@pytest.mark.parametrize(
    ("change", "says"),
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
def test_a_bad_study_is_refused_with_its_line(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    """Unknown keys, misspelt names, wrong types, unequal pairs, tags, aliases: the line and the cure, exit code 3."""
    code, said = plan(tmp_path, TINY_STUDY.replace(*change))
    assert code == 3
    assert says in said
    assert "study.yaml:" in said
    assert "Traceback" not in said


def test_an_unequal_head_is_a_mistake(tmp_path: Path) -> None:
    """Both of a pair do equal work."""
    start, end = TINY_STUDY.index("  small:"), TINY_STUDY.index("tasks:")
    hub = f"  small: {{hub: {{id: some/model, revision: {'a' * 40}}}}}\n"
    code, said = plan(tmp_path, TINY_STUDY[:start] + hub + TINY_STUDY[end:])
    assert (code, "unequal heads" in said) == (3, True)


def test_a_file_of_100_mb_is_refused_at_once(tmp_path: Path) -> None:
    """It is not read to its end first."""
    with (tmp_path / "study.yaml").open("wb") as file:
        file.truncate(100_000_000)
    code, said = joulefleet("plan", str(tmp_path / "study.yaml"))
    assert code == 3
    assert "items: file:" in said


def test_a_study_that_is_neither_file_nor_shipped_names_the_shipped(tmp_path: Path) -> None:
    """A misspelt name is met with the right one."""
    code, said = joulefleet("plan", "cain2042")
    assert code == 3
    assert "Did you mean cain2024?" in said


def test_a_folder_with_pickled_weights_only_is_refused(tmp_path: Path) -> None:
    """Pickles can run code: they are never loaded."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    (model / "pytorch_model.bin").write_bytes(b"")
    start, end = TINY_STUDY.index("  small:"), TINY_STUDY.index("tasks:")
    code, said = plan(tmp_path, TINY_STUDY[:start] + f"  small: {{path: {model}, head: seeded}}\n" + TINY_STUDY[end:])
    assert code == 3
    assert "never loaded" in said


def test_a_data_file_that_will_not_do_is_named(tmp_path: Path) -> None:
    """Missing columns are a mistake of the study, with the columns that are there."""
    (tmp_path / "texts.csv").write_text("sentence\nfine\n")
    text = TINY_STUDY.replace("items: {synthetic: {count: 4}}}\n  two", "items: {file: {path: texts.csv}}}\n  two")
    text = text.replace("    architecture:", f"    tokenizer: {tmp_path}\n    architecture:")
    code, said = plan(tmp_path, text)
    assert code == 3
    assert "lacks text (its columns: sentence)" in said


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no store"), ({"layout": 99, "store_id": "x"}, "newer Joulefleet"), ("damaged", "damaged")],
)
def test_what_is_no_store_of_ours_is_refused(tmp_path: Path, content: object, says: str) -> None:
    """A folder without a store, a newer layout, a damaged one: exit code 4."""
    store = tmp_path / "store"
    store.mkdir()
    if content is not None:
        (store / "format.json").write_text(content if isinstance(content, str) else json.dumps(content))
    code, said = joulefleet("sql", "--store", str(store), "from trials")
    assert code == 4
    assert says in said


def test_a_wrong_option_is_wrong_usage() -> None:
    """Exit code 2, with the usage."""
    code, said = joulefleet("run", "quick", "--sotre", "x")
    assert code == 2
    assert "--sotre" in said


def test_a_wrong_query_is_one_line() -> None:
    """Exit code 4 without a store, and never a traceback."""
    code, said = joulefleet("sql", "--store", "/nonexistent/store", "select")
    assert code == 4
    assert len(said.splitlines()) == 1
