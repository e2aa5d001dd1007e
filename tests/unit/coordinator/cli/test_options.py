"""Options that several subcommands share, and the help of every subcommand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from coordinator.__main__ import app
from coordinator.cli.options import percentage
from joulefleet.errors import EXIT_USAGE

RUNNER = CliRunner()


def _commands(application: typer.Typer, *path: str) -> Iterator[tuple[str, ...]]:
    for command in application.registered_commands:
        assert command.callback is not None
        yield (*path, command.name or command.callback.__name__.replace("_", "-"))
    for group in application.registered_groups:
        assert group.typer_instance is not None
        yield (*path, str(group.name))
        yield from _commands(group.typer_instance, *path, str(group.name))


COMMANDS = list(_commands(app))


def test_all_commands_are_known_here() -> None:
    """The list below would otherwise be empty without notice."""
    assert {("run",), ("import", "codecarbon"), ("export", "duckdb"), ("node", "up")} <= set(COMMANDS)
    assert get_command(app).name == "joulefleet"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_help_has_examples_that_name_the_command(command: tuple[str, ...]) -> None:
    """They are meant to be copied."""
    shown = RUNNER.invoke(app, [*command, "--help"]).stdout
    assert "Examples:" in shown
    assert f"joulefleet {' '.join(command)}" in shown.partition("Examples:")[2]


@pytest.mark.parametrize("command", ["sql", "compare", "status", "sample-size"])
def test_reading_commands_take_a_published_store(command: str) -> None:
    """So they show that --store may be a URI."""
    assert "--store" in (shown := RUNNER.invoke(app, [command, "--help"]).stdout)
    assert "PATH|URI" in shown


@pytest.mark.parametrize("value", [0.0, -1.0, 1000.0, float("nan")])
def test_a_percentage_outside_of_its_bounds_is_refused(value: float) -> None:
    """A precision of 0 % would need endless blocks."""
    with pytest.raises(typer.BadParameter, match="above 0 and below 1000"):
        percentage(value)


def test_a_percentage_within_its_bounds_is_taken() -> None:
    """An option that was not given stays None."""
    assert (percentage(2.5), percentage(None)) == (2.5, None)


@pytest.mark.parametrize(
    "arguments",
    [
        ["sample-size", "--precision", "0"],
        ["sample-size", "--within", "1000"],
        ["sample-size", "--between", "10"],
        ["sample-size", "--within", "4", "--between", "-1"],
        ["compare", "--alpha", "1"],
        ["status", "--store", "s3://bucket/study", "--watch"],
        ["run", "quick", "--local", "--address", "192.0.2.7:6379"],
        ["run", "quick", "--listen", "auto"],
        ["run", "quick", "--until-precision", "0"],
        ["runner", "two words"],
        ["import", "codecarbon"],
        ["import", "experiment-runner", "data"],
    ],
)
def test_options_that_cannot_be_are_wrong_usage(arguments: list[str]) -> None:
    """Exit code 2, before any store is opened."""
    result = RUNNER.invoke(app, arguments)
    assert result.exit_code == EXIT_USAGE
    assert "Invalid value" in result.stderr


def test_a_stated_variation_needs_no_store() -> None:
    """The table has one row for each number of machines."""
    result = RUNNER.invoke(app, ["sample-size", "--within", "4", "--between", "2", "--precision", "5"])
    assert result.exit_code == 0
    assert result.stdout.splitlines()[0].split() == ["machines", "blocks", "on", "each", "expected"]
