"""docker/compose.yaml as it is shipped, changed only by its own variables."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from joulefleet import __version__
from tests.containers.container_fleet import COMPOSE, compose_command
from tests.containers.engine import Engine
from tests.soak.studies import write_study
from tests.support.wait import until

FILES = ("-f", str(COMPOSE), "-f", str(COMPOSE.with_name("compose.no-rapl.yaml")))


class Shipped:
    """The project of the file."""

    def __init__(self, host: Engine, folder: Path, **settings: str) -> None:
        self._host = host
        self._project = f"shipped{secrets.token_hex(3)}"
        folder.chmod(0o755)  # the run is another user, and reads its study there
        (folder / "secrets").mkdir(mode=0o700)
        token = folder / "secrets" / "token"
        token.write_text(secrets.token_hex(32))
        # As the file's first lines say.
        os.chown(token, 10001, 0)
        token.chmod(0o440)
        (folder / "host").mkdir(mode=0o755)
        (folder / "machine-id").write_text(secrets.token_hex(16))
        self._settings = {
            "JOULEFLEET_TOKEN_FILE": str(token),
            "JOULEFLEET_TAG": __version__,
            "JOULEFLEET_HOST": str(folder / "host"),
            "JOULEFLEET_HOST_MACHINE_ID": str(folder / "machine-id"),
            "JOULEFLEET_STUDIES": str(folder),
            "JOULEFLEET_STUDY": "/studies/steady.yaml",
            **settings,
        }

    def __call__(self, *arguments: str) -> str:
        """Run Compose and return its output."""
        command = [*compose_command(), *FILES, "-p", self._project, *arguments]
        done = self._host.run(command, extra=self._settings, timeout_s=300)
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def of_run(self, field: str) -> str:
        """Return a field of `docker inspect` of the run."""
        return self._host.docker("inspect", "--format", f"{{{{{field}}}}}", self("ps", "-q", "run").strip())

    def rows(self, query: str) -> list[dict[str, object]]:
        """Return the answer of `joulefleet sql` in the head."""
        found: list[dict[str, object]] = json.loads(
            self("exec", "-T", "head", "joulefleet", "sql", "--format", "json", query)
        )
        return found


@pytest.fixture
def shipped(host: Engine, tmp_path: Path) -> Iterator[Shipped]:
    """The project, with a study of the user's own; the work runs in two environments of one machine."""
    study = write_study(tmp_path, "steady", 2)
    study.write_text(study.read_text() + "environments: [container, runner]\n")
    found = Shipped(host, tmp_path)
    yield found
    found("--profile", "runner", "down", "--volumes", "--timeout", "5")


@pytest.mark.timeout(900)
def test_up_runs_a_study_in_two_environments_of_one_machine(shipped: Shipped) -> None:
    """`up`, then `status`, `sql` and `compare` inside the head. A runner works beside the agent, which measures it."""
    shipped("--profile", "runner", "up", "-d")
    until(lambda: shipped.of_run(".State.Status") == "exited", seconds=400, why=lambda: shipped("logs")[-6000:])
    assert shipped.of_run(".State.ExitCode") == "0", shipped("logs")[-6000:]
    said = shipped("exec", "-T", "head", "joulefleet", "status")
    assert "steady" in said
    rows = shipped.rows(
        "select environment, count(*) n, count(cpu_seconds) cpu, count(peak_rss_bytes) rss, "
        "any_value(energy_reason) reason from trials where status = 'ok' group by all order by 1"
    )
    assert [(row["environment"], row["n"], row["cpu"], row["rss"]) for row in rows] == [
        ("container", 8, 8, 8),
        ("runner", 8, 8, 8),
    ]
    assert all(row["reason"] for row in rows)
    assert "container" in shipped("exec", "-T", "head", "joulefleet", "compare", "--by", "environment")
    assert shipped.of_run(".RestartCount") == "0", shipped("logs")[-6000:]
