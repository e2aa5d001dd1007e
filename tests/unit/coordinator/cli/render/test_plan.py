"""The plan of a study as text and as JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from coordinator.cli.render.json import json_text
from coordinator.cli.render.plan import outlook_json, outlook_text
from coordinator.planning.preview import NOWHERE, Outlook, look_ahead
from joulefleet.study.primary import Primary
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned


@pytest.fixture
def outlook(tmp_path: Path) -> Outlook:
    """The plan of a small study where there is no store."""
    return look_ahead(tiny_pinned(TINY_STUDY), tmp_path / "store", must_exist=False)


def test_the_text_shows_design_order_and_duration(outlook: Outlook) -> None:
    """Without a store nothing is said about progress."""
    lines = outlook_text(outlook).splitlines()
    assert lines[0].startswith("Study tiny")
    assert "2 models × 2 tasks, 4 cells, 2 blocks = 8 trials on each machine, regime burst." in lines
    assert [line[:11] for line in lines if line.startswith("  block ")] == ["  block 1: ", "  block 2: "]
    assert lines[-1].startswith("Expected: ")
    assert "In the store" not in "\n".join(lines)


def test_the_text_shows_what_the_store_has(outlook: Outlook) -> None:
    """Failed trials and attempts of an earlier version are counted."""
    known = replace(outlook, store_id="s", done=3, failed=1, obsolete=2, pilots_to_do=4, measured_passes=False)
    text = outlook_text(known)
    assert "In the store: 3 of 8 trials done, 1 of them failed." in text
    assert "2 attempts of an earlier version of the study stay there and are not used." in text
    assert "First, 4 short pilots determine the number of passes of each window." in text
    assert "(an estimate until the pilots have run)" in text


def test_long_plans_are_shortened(outlook: Outlook) -> None:
    """The JSON has all blocks."""
    many = replace(outlook, blocks=outlook.blocks * 3, machine_id=NOWHERE)
    text = outlook_text(many)
    assert "  … and 3 more blocks" in text
    assert "Order: (for a machine without an identity)" in text
    assert len(outlook_json(many)["blocks"]) == 6


def test_the_statement_before_the_data_is_shown(outlook: Outlook) -> None:
    """With its digest, which a reader can compare with the one in the results."""
    stated = Primary(
        non_inferior_percent=5.0, equivalent_percent=3.0, exclude_flags=("throttled",), precision_percent=2.0
    )
    study = replace(outlook.pinned.study, primary=stated)
    changed = replace(outlook, pinned=replace(outlook.pinned, study=study))
    text = outlook_text(changed)
    digest = outlook_json(changed)["primary"]["digest"]
    assert f"Primary, stated before the data ({digest[:8]}):" in text
    assert "  also tested: at most 5 % more" in text
    assert "  also tested: equal within 3 %" in text
    assert "  excluded: blocks with a trial flagged throttled" in text
    assert "as many blocks are added as a precision of 2 % needs" in text


def test_the_json_has_ids_only_once_the_passes_are_known(outlook: Outlook) -> None:
    """The number of passes is part of the id of a trial."""
    known = outlook_json(replace(outlook, measured_passes=True))
    unknown = outlook_json(replace(outlook, measured_passes=False))
    ids = [trial["trial_id"] for block in known["blocks"] for trial in block["trials"]]
    assert len(set(ids)) == known["trials"] == 8
    assert {trial["trial_id"] for block in unknown["blocks"] for trial in block["trials"]} == {None}
    assert json.loads(json_text(known)) == json.loads(json.dumps(known))
