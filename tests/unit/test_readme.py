"""What the README shows is true."""

from __future__ import annotations

import re
from pathlib import Path

import typer.main

from coordinator.__main__ import app
from joulefleet import errors
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

README = (Path(__file__).resolve().parents[2] / "README.md").read_text(encoding="utf-8")


def test_the_study_of_the_readme_is_a_study() -> None:
    """Whoever copies it, and puts in a commit, can plan it."""
    stated, text = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert stated.startswith("primary:")
    text += stated.replace("[bert]", "[roberta]")
    study = study_of(parse_yaml(text.replace("<the 40 digits of a commit>", "a" * 40), name="README"), name="README")
    assert set(study.models) == {"roberta", "tuned", "published"}
    assert study.primary.non_inferior_percent == 5


def test_every_command_of_the_readme_exists() -> None:
    """`joulefleet X` stands in the README only where there is an X."""
    known = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # a group has commands
    used = set(
        re.findall(r"joulefleet ([a-z]+)", "\n".join(re.findall(r"```\n(.*?)```|`([^`]*)`", README, re.DOTALL)[0]))
    )
    used |= set(re.findall(r"bin/joulefleet ([a-z]+)", README))
    assert used
    assert used <= known


def test_the_exit_codes_of_the_readme_are_those_of_the_errors() -> None:
    """Each kind of error has its number there."""
    (line,) = re.findall(r"0 done · .*?interrupted", README, re.DOTALL)
    stated = {int(code) for code in re.findall(r"(\d+) [a-z]", line)}
    kinds = (errors.StudyError, errors.StoreError, errors.MachineError, errors.QueryError)
    assert stated == {0, 2, errors.EXIT_BUG, errors.EXIT_FAILED_TRIALS, errors.EXIT_INTERRUPTED} | {
        kind.exit_code for kind in kinds
    }
