from pathlib import Path

import pytest
from typer.testing import CliRunner

from coordinator.__main__ import app
from joulefleet.errors import EXIT_USAGE

RUNNER = CliRunner()


@pytest.mark.parametrize("arguments", [[], ["--head", "--join", "192.0.2.7:6379"], ["--head", "--port-base", "80"]])
def test_a_node_is_a_head_or_joins_one(arguments: list[str]) -> None:
    """Anything else is wrong usage, and nothing is started."""
    assert RUNNER.invoke(app, ["node", "up", *arguments]).exit_code == EXIT_USAGE


def test_down_where_nothing_is_up_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second `down` does no harm."""
    monkeypatch.setenv("JOULEFLEET_STATE", str(tmp_path))
    done = RUNNER.invoke(app, ["node", "down"])
    assert (done.exit_code, done.stderr) == (0, "No node is up here.\n")
