"""Agents that may not take part: each gets its own message with a cure, and the study goes on without them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from joulefleet import __version__
from tests.containers.container_fleet import ContainerFleet, running
from tests.containers.engine import Engine
from tests.soak.studies import write_study
from tests.support.studies import changed

OTHER_VERSION = """
FROM joulefleet-agent:{version}
USER 0
RUN sed -i 's/^__version__ = .*/__version__ = "9.9.9"/' /opt/joulefleet/libraries/joulefleet/__init__.py
USER 10001
"""


@pytest.mark.timeout(900)
def test_each_agent_that_may_not_take_part_hears_why(host: Engine, tmp_path: Path) -> None:
    """Wrong token, other version, no folder of the host, the id of another machine, too few CPUs."""
    (tmp_path / "Dockerfile").write_text(OTHER_VERSION.format(version=__version__))
    host.docker(
        "build", "-t", "joulefleet-agent:9.9.9", "-f", str(tmp_path / "Dockerfile"), str(tmp_path), timeout_s=300
    )
    study = write_study(tmp_path, "intruder", 2)
    study.write_text(changed(study.read_text(), {"factors.threads": [2]}))
    (tmp_path / "plan.json").write_text(json.dumps([]))
    (tmp_path / "other-token").write_text("0" * 64)
    (tmp_path / "other-token").chmod(0o444)
    machines: dict[str, dict[str, Any]] = {
        "good": {},
        "stranger": {"secrets": [{"source": "other", "target": "token"}], "restart": "no"},
        "old": {"image": "joulefleet-agent:9.9.9"},
        "homeless": {},
        "twin": {},
        "slow": {"cpus": 1.0},
    }
    fleet = ContainerFleet(host=host, folder=tmp_path, machines=machines, study="intruder")
    fleet.change(lambda found: found["secrets"].update(other={"file": str(tmp_path / "other-token")}))
    fleet.change(lambda found: _without(found["services"]["homeless"], "/run/joulefleet"))
    (fleet.of("twin") / "machine-id").write_text((fleet.of("good") / "machine-id").read_text())
    with running(fleet, ["head", "good"]):
        fleet.until_said("good", "is up")
        fleet.up(*(name for name in machines if name not in {"good", "twin"}))
        fleet.up("run")
        fleet.until_said("run", "^good: joined")
        fleet.up("twin")
        for pattern in (
            "was refused: .*has joulefleet 9.9.9 instead of",
            "was refused: .*/run/joulefleet: nothing of the host is mounted there.*-v /run/joulefleet:",
            r"was refused: .*allows 1 CPUs, and the study has trials of 2 threads.*limits\.cpu",
            "was refused: .*has the machine id of",
        ):
            fleet.until_said("run", pattern)
        fleet.until_said("stranger", "does not accept this token.*RAY_AUTH_TOKEN_PATH")
        assert fleet.inspect("stranger", ".State.ExitCode") == "5"
        assert fleet.token not in fleet.logs("stranger")
        assert fleet.wait() == 0
        (row,) = fleet.rows("select list(distinct machine) machines, count(*) n from trials")
        assert row == {"machines": ["good"], "n": 8}


def _without(service: dict[str, list[str]], place: str) -> None:
    service["volumes"] = [mount for mount in service["volumes"] if not mount.endswith(f":{place}")]
