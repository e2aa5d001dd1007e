"""Pinning of models and items: changes that make another identity, and changes that do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from coordinator.planning.resolve import resolve
from joulefleet.errors import StudyError
from joulefleet.plan.design import Design
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

STUDY = """
name: texts
repetitions: 1
models:
  model: {path: model}
tasks:
  film: {inputs: single, labels: 2, items: ITEMS}
"""
TEXTS = "{file: {path: texts.csv}}"
SYNTHETIC = "{synthetic: {lengths: {first: {'0': 3, '100': 9}}}}"


def model_in(folder: Path) -> Path:
    """Make a folder with a model, a tokenizer and texts."""
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "config.json").write_text(json.dumps({"num_hidden_layers": 6}))
    (folder / "model" / "model.safetensors").write_bytes(b"weights")
    (folder / "model" / "tokenizer.json").write_text("{}")
    (folder / "texts.csv").write_text("text\nfine\n")
    return folder


def protocol(folder: Path, items: str = TEXTS) -> str:
    """Return the protocol digest of the only cell."""
    study = study_of(parse_yaml(STUDY.replace("ITEMS", items), name="study"), name="study")
    pinned = resolve(study, folder)
    return Design(pinned, store_id="").digest(0, 1)


def test_the_same_files_elsewhere_are_the_same_work(tmp_path: Path) -> None:
    """A path is not part of what is measured."""
    assert protocol(model_in(tmp_path / "a")) == protocol(model_in(tmp_path / "b"))


@pytest.mark.parametrize("name", ["model/model.safetensors", "model/config.json", "model/tokenizer.json", "texts.csv"])
def test_a_changed_byte_changes_the_protocol(tmp_path: Path, name: str) -> None:
    """Weights, configuration, tokenizer and texts all decide what is measured."""
    folder = model_in(tmp_path)
    before = protocol(folder)
    (folder / name).write_text((folder / name).read_text() + " \n")
    if name == "texts.csv":
        (folder / name).write_text("text\nfiner\n")
    assert protocol(folder) != before


def test_a_tokenizer_does_not_count_where_there_are_no_texts(tmp_path: Path) -> None:
    """Synthetic items are tokens already."""
    folder = model_in(tmp_path)
    before = protocol(folder, SYNTHETIC)
    (folder / "model" / "tokenizer.json").write_text("{ }")
    assert protocol(folder, SYNTHETIC) == before


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    """Without a model and without texts there are two mistakes in one error."""
    with pytest.raises(StudyError) as caught:
        protocol(tmp_path)
    assert len(caught.value.problems) == 2
