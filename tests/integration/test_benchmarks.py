"""Every benchmark runs with --smoke: the same code on tiny sizes, without a judgement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAMS = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    # Drivers are run by the Python of their peer, and the harness by the programs.
    if "\nif __name__ ==" in path.read_text(encoding="utf-8")
    and not path.name.endswith("_driver.py")
    and path.parent.name != "harness"
}


_REAL_TRIALS = ("dispatch", "quiet_node", "quiet", "trial_overhead", "demo")
"""Programs that start Ray or take the host's lock: two of them at a time would wait for each other."""

RUNS = [
    pytest.param(module, marks=pytest.mark.measures if path.stem in _REAL_TRIALS else ())
    for module, path in PROGRAMS.items()
]


def test_there_are_programs_in_every_folder_that_measures() -> None:
    """A wrong pattern above would find none and test nothing."""
    folders = {path.parent.name for path in PROGRAMS.values()}
    assert {"compare", "fleet", "measurement", "store", "use"} <= folders


@pytest.mark.parametrize("module", PROGRAMS)
def test_program_uses_the_harness(module: str) -> None:
    """The harness gives it --smoke, the closing line and the exit code."""
    assert "sys.exit(run_program(__doc__, benchmark" in PROGRAMS[module].read_text(encoding="utf-8")


@pytest.mark.parametrize("module", RUNS)
def test_smoke_run_ends_well_and_judges_nothing(module: str, tmp_path: Path) -> None:
    """The closing line holds figures without bounds, or names what was left out."""
    own = {"JOULEFLEET_STATE": str(tmp_path / "state"), "JOULEFLEET_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-m", module, "--smoke"],
        cwd=ROOT,
        env=os.environ | own | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    closing = json.loads(done.stdout.splitlines()[-1])
    entries = closing if isinstance(closing, list) else [closing]
    assert entries
    for entry in entries:
        assert entry["smoke"] is True
        assert ("left_out" in entry) != ("benchmark" in entry), entry
        assert not {"ok", "bound"} & entry.keys(), entry
