"""Folders of data, and the rules of a mapping for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.importing.mapping.spec import FolderRule
from coordinator.importing.problems import ImportProblems
from coordinator.importing.tables.folders import Rules, matches, natural, walk


@pytest.mark.parametrize(
    ("pattern", "folder", "met"),
    [
        ("bert", "bert", True),
        ("bert", "distilbert", False),
        ("bert", "bert/one", False),
        ("bert/*", "bert/one", True),
        ("bert/*", "bert/one/two", False),
        ("bert/**", "bert", True),
        ("bert/**", "bert/one/two", True),
        ("**/run", "a/b/run", True),
        ("**/b/**/d", "a/b/c/d", True),
        ("**/b/**/d", "a/c/d", False),
        ("**", ".", True),
        (".", ".", True),
        (".", "a", False),
        ("*", ".", False),
        ("exp[12]", "exp2", True),
        ("BERT", "bert", False),
    ],
)
def test_patterns_match_whole_names(pattern: str, folder: str, met: bool) -> None:  # noqa: FBT001 - a table
    """One star matches within a name, two match any number of folders."""
    assert matches(pattern, folder) is met


def test_a_pattern_of_many_stars_is_matched_at_once() -> None:
    """Backtracking would take exponential time."""
    assert not matches("/".join(["**"] * 200 + ["x"]), "/".join(["a"] * 200))


def test_rules_that_match_a_folder_add_up() -> None:
    """One rule gives the model, another the task."""
    problems = ImportProblems()
    rules = Rules([FolderRule(match="bert/**", model="bert"), FolderRule(match="**/sst2", task="sst2")], problems)
    facts = rules.facts("bert/sst2", Path("bert/sst2"))
    assert (facts.model, facts.task, facts.machine) == ("bert", "sst2", None)
    rules.report_unused("mapping.yaml", ["bert/sst2"], "a table")
    assert not problems.messages


def test_two_models_for_one_folder_and_an_unused_rule_are_mistakes() -> None:
    """Each message names the rules by their numbers."""
    problems = ImportProblems()
    rules = Rules(
        [FolderRule(match="*", model="bert"), FolderRule(match="b*", model="gpt2"), FolderRule(match="x", task="t")],
        problems,
    )
    rules.facts("bert", Path("data/bert"))
    rules.report_unused("mapping.yaml", ["bert"], "a table")
    assert problems.messages == [
        "data/bert: model is bert by folders.0 and gpt2 by folders.1 of the mapping.",
        "mapping.yaml: folders.2.match: 'x' matches no folder with a table; there are 'bert'.",
    ]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    """A link to a parent folder would never end."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "loop").symlink_to(tmp_path)
    assert set(walk(tmp_path, ImportProblems())) == {".", "a"}


def test_numbers_in_names_sort_as_numbers() -> None:
    """run_10 comes after run_2."""
    assert sorted(["run_10", "run_2", "run", "2"], key=natural) == ["2", "run", "run_2", "run_10"]
