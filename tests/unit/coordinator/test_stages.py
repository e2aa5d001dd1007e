"""How many blocks are asked for, in one stage or in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from coordinator.stages import Stages
from joulefleet.study import Study
from joulefleet.study_file import study_to_json
from tests.fakes.attempt_rows import twelve_cell_rows, write_measured
from tests.fakes.one_pair import one_pair, timed

PRECISE = "primary: {metric: time, precision_percent: 0.25}"


def measured(path: Path, study: Study, machines: Sequence[tuple[str, str]] = (("m", "bench"),)) -> Path:
    """A store in which all of `study` is measured, with noise of about 1 % between blocks."""
    rows = [timed(row) for row in twelve_cell_rows(study, machines=machines)]
    apart = {machine_id: 1 + 0.02 * place for place, (machine_id, _) in enumerate(machines)}
    rows = [
        row | {"window_s": row["window_s"] * (apart[row["machine_id"]] if row["model"] == "small" else 1)}
        for row in rows
    ]
    return write_measured(path / "store", rows, study, machines=machines)


def test_without_a_precision_there_is_one_stage(tmp_path: Path) -> None:
    """As many blocks as the study says, and nothing is looked at."""
    stages = Stages(one_pair(3), at_most=100)
    assert stages.study({}).repetitions == 3
    assert stages.more(tmp_path / "not there", say=print) is False


def test_pilot_blocks_fix_how_many_follow(tmp_path: Path) -> None:
    """Ten first, then as many as their variance asks for; asked again it is the same, and there is no third stage."""
    stages = Stages(one_pair(3, PRECISE), at_most=1000)
    pilot = stages.study({})
    assert (pilot.repetitions, pilot.primary.pilot_blocks) == (10, 10)
    root, said = measured(tmp_path, pilot), list[str]()
    assert stages.more(root, say=said.append) is True
    full = stages.study({"study": study_to_json(pilot)})
    assert full.repetitions > 10
    assert f"{full.repetitions} in all" in said[0]
    assert stages.more(root, say=said.append) is False
    again = Stages(one_pair(3, PRECISE), at_most=1000)
    assert again.study({"study": study_to_json(full)}).repetitions == full.repetitions
    assert again.more(measured(tmp_path / "full", full), say=said.append) is False
    other = Stages(one_pair(3, PRECISE.replace("0.25", "0.3")), at_most=1000)
    assert other.study({"study": study_to_json(full)}).repetitions == 10


def test_no_more_blocks_than_are_allowed(tmp_path: Path) -> None:
    """And it is said that they are not enough."""
    stages, said = Stages(one_pair(3, PRECISE), at_most=12), list[str]()
    assert stages.more(measured(tmp_path, stages.study({})), say=said.append) is True
    assert stages.study({}).repetitions == 12
    assert "--at-most allows 12" in said[0]


def test_precise_enough_at_once_has_no_second_stage(tmp_path: Path) -> None:
    """Ten blocks do."""
    stages = Stages(one_pair(3, PRECISE.replace("0.25", "50")), at_most=100)
    assert stages.more(measured(tmp_path, stages.study({})), say=print) is False


def test_where_machines_differ_most_it_is_machines_that_are_wanted(tmp_path: Path) -> None:
    """No number of blocks makes four machines one."""
    stages, said = Stages(one_pair(3, PRECISE), at_most=1000), list[str]()
    machines = [(f"m{number}", f"node{number}") for number in range(4)]
    study = replace(stages.study({}), description="of four")
    assert stages.more(measured(tmp_path, study, machines), say=said.append) is False
    assert "add machines" in said[0]
