"""What the README and the how-to pages show is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from coordinator.__main__ import app
from joulefleet import errors
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDY = (ROOT / "docs" / "how-to-study.md").read_text(encoding="utf-8")
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")])


def test_the_study_that_is_shown_can_be_planned() -> None:
    """A reader copies it and fills in a commit."""
    text, stated = re.findall(r"```yaml\n(.*?)```", STUDY, re.DOTALL)
    assert stated.startswith("primary:")
    text += stated.replace("[bert]", "[roberta]")
    study = study_of(parse_yaml(text.replace("<the 40 digits of a commit>", "a" * 40), name="page"), name="page")
    assert set(study.models) == {"roberta", "tuned", "published"}
    assert study.primary.non_inferior_percent == 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_that_is_shown_exists(page: Path) -> None:
    """`joulefleet X` begins a line of a code block only where X is a subcommand."""
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group has commands
    blocks = "\n".join(re.findall(r"```\w*\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL))
    assert set(re.findall(r"^(?:\S*/)?joulefleet ([a-z][\w-]*)", blocks, re.MULTILINE)) <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """A relative link names a file of this repository, and a heading that the file has."""
    for target, heading in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        if heading:
            titles = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert heading in {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_readme_shows_the_two_commands_and_the_picture() -> None:
    """They are what a newcomer looks for."""
    assert "make demo" in README
    assert "make test" in README
    assert "docs/images/how-it-works.svg" in README


def test_the_exit_codes_are_those_of_the_errors() -> None:
    """Each kind of error has its number there."""
    stated = {int(code) for code in re.findall(r"^\| (\d+) \|", STUDY, re.MULTILINE)}
    kinds = (errors.StudyError, errors.StoreError, errors.MachineError, errors.QueryError)
    assert stated == {0, 2, errors.EXIT_BUG, errors.EXIT_FAILED_TRIALS, errors.EXIT_INTERRUPTED} | {
        kind.exit_code for kind in kinds
    }
