"""What is asked of a head, and what a wrong answer ends in; tests/fleet asks real heads."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from coordinator.cluster.ray.probe import ProbedCluster, ProbedNode, probe
from joulefleet.errors import MachineError

INTERPRETER = sys.executable
PYTHON = platform.python_version()
ANSWER = {
    "own_ray": "2.60.0",
    "ray": "2.60.0",
    "python": PYTHON,
    "session": "session_1",
    "nodes": [{"node_id": "ab", "address": "192.0.2.7:6380"}],
    "here": ["ab"],
}


def probed(monkeypatch: pytest.MonkeyPatch, folder: Path, program: str, *, answer_s: float = 60.0) -> ProbedCluster:
    """Return what is made of the output of `program`, in the place of the process that asks."""
    interpreter = folder / "python"
    interpreter.write_text(f"#!{INTERPRETER}\n{program}\n")
    interpreter.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(interpreter))
    return probe("192.0.2.7:6379", {}, answer_s=answer_s)


def printing(answer: Mapping[str, Any]) -> str:
    """Return a program that prints messages as Ray does, and the answer."""
    return f"print('[2026-01-01 I] connecting')\nprint('joulefleet-probe ' + {json.dumps(answer)!r}, flush=True)"


def test_a_head_tells_of_its_session_and_nodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray's own messages in between are no answer."""
    assert probed(monkeypatch, tmp_path, printing(ANSWER)) == ProbedCluster(
        session="session_1",
        nodes=(ProbedNode(node_id="ab", address="192.0.2.7:6380"),),
        here=frozenset({"ab"}),
    )


@pytest.mark.parametrize("other", [{"ray": "2.59.9"}, {"python": "3.10.2"}])
def test_other_versions_are_named_on_both_sides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, other: dict[str, str]
) -> None:
    """Ray itself would fail later, with a message about its protocol."""
    with pytest.raises(MachineError, match=r"this machine Ray 2\.60\.0 on Python") as raised:
        probed(monkeypatch, tmp_path, printing(ANSWER | other))
    assert f"Ray {other.get('ray', '2.60.0')}" in str(raised.value)


def test_another_patch_version_of_python_is_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray compares the first two numbers too."""
    other = ".".join([*PYTHON.split(".")[:2], "999"])
    assert probed(monkeypatch, tmp_path, printing(ANSWER | {"python": other})).session == "session_1"


def test_a_wrong_token_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ray would try again and again."""
    program = "import time\nprint('[E] Unauthenticated: InvalidAuthToken', flush=True)\ntime.sleep(600)"
    with pytest.raises(MachineError, match="does not accept this token"):
        probed(monkeypatch, tmp_path, program)


def test_a_head_that_does_not_answer_ends_with_the_last_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In bounded time, whether the process hangs or ends."""
    with pytest.raises(MachineError, match=r"no answer in 60 s \(connection refused\)"):
        probed(monkeypatch, tmp_path, "print('[2026-01-01 (gcs) x.cc:1] connection refused')")
    with pytest.raises(MachineError, match="no answer in 1 s"):
        probed(monkeypatch, tmp_path, "import time\ntime.sleep(600)", answer_s=1.0)
