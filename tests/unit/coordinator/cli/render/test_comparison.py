"""A comparison as text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from coordinator.cli.render.comparison import comparison_lines
from coordinator.cli.render.format import WIDTH
from joulefleet.compare.compare import compare
from joulefleet.query import Store
from tests.support.attempt_rows import TWELVE_CELLS, study_from, twelve_cell_rows, write_measured, write_store

PROOFS = "proofs: {twice: [{model: bert, task: sst2}]}\n"


def text_of(path: Path, more: str = "", **overrides: Any) -> str:
    """Return the text of a finished study of twelve cells."""
    study = study_from(TWELVE_CELLS + more)
    rows = [row | overrides for row in twelve_cell_rows(study)]
    with Store.open(write_measured(path / "s", rows, study)) as store:
        return "\n".join(comparison_lines(compare(store)))


def test_every_cell_is_visible_within_100_columns(tmp_path: Path) -> None:
    """There are two pairs of three tasks each, and modelled energy is called so in its row."""
    lines = text_of(tmp_path).splitlines()
    assert max(map(len, lines)) <= WIDTH
    energy = [line for line in lines if "energy per item, modelled" in line]
    assert len(energy) == 6
    assert all("energy per item, modelled" in line and line.count(" mJ") == 2 for line in energy)
    assert "bert: bert → distilbert" in lines
    assert "gpt2: gpt2 → distilgpt2" in lines


def test_measured_energy_names_its_scope_in_the_line(tmp_path: Path) -> None:
    """The row says which domains are added up."""
    text = text_of(tmp_path, energy_j=10.0, energy_scope="package+dram", energy_provenance="measured")
    assert "energy per item, package+dram" in text
    assert "modelled" not in text
    assert "simulated" not in text


def test_simulated_energy_says_so_in_the_line(tmp_path: Path) -> None:
    """The row says that it was not measured."""
    text = text_of(tmp_path, energy_j=10.0, energy_scope="package", energy_provenance="simulated")
    assert "energy per item, package simulated" in text


def test_failed_proof_stands_above_everything(tmp_path: Path) -> None:
    """The proofs follow, and then the pairs."""
    lines = text_of(tmp_path, more=PROOFS).splitlines()
    assert lines[0].startswith("!!! PROOF FAILED")
    proof = next(number for number, line in enumerate(lines) if line.startswith("proof bert+twice"))
    assert proof < lines.index("bert: bert → distilbert")
    assert any("FAILS 2.00" in line for line in lines)


def test_marked_blocks_have_a_second_line(tmp_path: Path) -> None:
    """The second line has the estimate without them."""
    study = study_from()
    rows = twelve_cell_rows(study)
    flagged = [row | {"flags": ["throttled"] if row["block"] == 1 else []} for row in rows]
    with Store.open(write_measured(tmp_path / "s", flagged, study)) as store:
        text = "\n".join(comparison_lines(compare(store)))
    assert text.count("without flagged") >= 6 * 3
    assert "throttled ×1 of 3" in text


def test_hostile_names_stay_on_their_line(tmp_path: Path) -> None:
    """Control characters in the name of a machine are escaped."""
    text = text_of(tmp_path, machine="a\nb\x1b[31m")
    assert "a\\nb\\x1b[31m" in text
    assert "\x1b" not in text


def test_nothing_to_compare_is_said(tmp_path: Path) -> None:
    """The text is one sentence."""
    with Store.open(write_store(tmp_path / "s", [])) as store:
        assert next(comparison_lines(compare(store))).startswith("Nothing to compare yet")


def test_several_machines_come_first_and_as_sentences(tmp_path: Path) -> None:
    """The table over all machines comes first, and sentences to quote come last."""
    study = study_from()
    machines = [(f"id-{number}", f"node{number}") for number in range(6)]
    rows = twelve_cell_rows(study, machines=machines)
    with Store.open(write_measured(tmp_path / "s", rows, study, machines=machines)) as store:
        lines = list(comparison_lines(compare(store)))
    assert lines[0] == "bert: bert → distilbert, over all machines"
    assert max(map(len, lines)) <= WIDTH
    assert "next machine" in lines[2]
    assert any(line.startswith("= On sst2, distilbert needs 0.5") for line in lines)
    assert not any("over all machines" in line for line in text_of(tmp_path / "one").splitlines())
