"""How many blocks are asked for, in one stage or in two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordinator.campaign.two_stage import TwoStage
from joulefleet.errors import StudyError
from joulefleet.study.load import study_to_json
from joulefleet.study.spec import Study
from tests.support.attempt_rows import twelve_cell_rows, write_measured
from tests.support.one_pair import one_pair, timed

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
    stages = TwoStage(one_pair(3), at_most=100)
    assert stages.study({}).repetitions == 3
    assert stages.needs_more(tmp_path / "not there", note=print) is False


def test_pilot_blocks_fix_how_many_follow(tmp_path: Path) -> None:
    """Ten first, then as many as their variance asks for; asked again it is the same, and there is no third stage."""
    stages = TwoStage(one_pair(3, PRECISE), at_most=1000)
    pilot = stages.study({})
    assert (pilot.repetitions, pilot.primary.pilot_blocks) == (10, 10)
    root, said = measured(tmp_path, pilot), list[str]()
    assert stages.needs_more(root, note=said.append) is True
    full = stages.study({"study": study_to_json(pilot)})
    assert full.repetitions > 10
    assert f"{full.repetitions} in all" in said[0]
    assert stages.needs_more(root, note=said.append) is False
    again = TwoStage(one_pair(3, PRECISE), at_most=1000)
    assert again.study({"study": study_to_json(full)}).repetitions == full.repetitions
    assert again.needs_more(measured(tmp_path / "full", full), note=said.append) is False
    other = TwoStage(one_pair(3, PRECISE.replace("0.25", "0.3")), at_most=1000)
    assert other.study({"study": study_to_json(full)}).repetitions == 10


def test_no_more_blocks_than_are_allowed(tmp_path: Path) -> None:
    """And it is said that they are not enough."""
    stages, said = TwoStage(one_pair(3, PRECISE), at_most=12), list[str]()
    assert stages.needs_more(measured(tmp_path, stages.study({})), note=said.append) is True
    assert stages.study({}).repetitions == 12
    assert "--at-most allows 12" in said[0]


def test_precise_enough_at_once_has_no_second_stage(tmp_path: Path) -> None:
    """Ten blocks do."""
    stages = TwoStage(one_pair(3, PRECISE.replace("0.25", "50")), at_most=100)
    assert stages.needs_more(measured(tmp_path, stages.study({})), note=print) is False


def test_where_machines_differ_most_it_is_machines_that_are_wanted(tmp_path: Path) -> None:
    """No number of blocks makes four machines one."""
    stages, said = TwoStage(one_pair(3, PRECISE), at_most=1000), list[str]()
    machines = [(f"m{number}", f"node{number}") for number in range(4)]
    study = replace(stages.study({}), description="of four")
    assert stages.needs_more(measured(tmp_path, study, machines), note=said.append) is False
    assert "add machines" in said[0]


def test_the_largest_need_decides_and_machines_may_be_of_many_models(tmp_path: Path) -> None:
    """Of two batch sizes the noisy one; of three machines of three CPU models their mean."""
    stages, said = (
        TwoStage(one_pair(3, PRECISE.replace("0.25", "1") + "\nfactors: {batch_size: [1, 8]}"), at_most=900),
        list[str](),
    )
    pilot = stages.study({})
    rows = [timed(row) for row in twelve_cell_rows(pilot)]
    noisy = [row | {"window_s": row["window_s"] * _noise(row)} for row in rows]
    assert stages.needs_more(write_measured(tmp_path / "store", noisy, pilot), note=said.append) is True
    assert "batch 1" in said[0]
    stages = TwoStage(one_pair(3, PRECISE.replace("0.25", "1")), at_most=900)
    machines = [(f"m{number}", "node") for number in range(3)]
    pilot = stages.study({})
    rows = [timed(row) | {"cpu_model": row["machine_id"]} for row in twelve_cell_rows(pilot, machines=machines)]
    rows = [row | {"window_s": row["window_s"] * _noise(row)} for row in rows]
    assert stages.needs_more(write_measured(tmp_path / "fleet", rows, pilot, machines), note=said.append) is True


def test_a_precision_that_was_stated_once_stays(tmp_path: Path) -> None:
    """A run without the option goes on with it; and it is not for blocks that are spread over machines."""
    full = TwoStage(one_pair(3, PRECISE), at_most=100).study({})
    plain = TwoStage(one_pair(3, PRECISE.replace(", precision_percent: 0.25", "")), at_most=100)
    assert plain.study({"study": study_to_json(full)}) == full
    with pytest.raises(StudyError, match="any-machine"):
        TwoStage(one_pair(3, PRECISE + "\nplacement: any-machine"), at_most=100)


def _noise(row: dict[str, Any]) -> float:
    spoilt = row["batch_size"] == 1 and row["model"] == "small" and row["block"] % 2
    return 1.05 if spoilt else 1.0
