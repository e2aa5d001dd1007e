"""Parts of the studies that several benchmarks run."""

from __future__ import annotations

from pathlib import Path

from coordinator.planning.resolve import resolve
from joulefleet.plan.expand import Pinned
from joulefleet.study.load import study_of
from joulefleet.yamlfile.reader import parse_yaml

BERT_BASE = "{architecture: {model_type: bert, config: {vocab_size: 30522}}}"
DISTILBERT_BASE = "{architecture: {model_type: distilbert, config: {vocab_size: 30522}}}"

TINY_BERT = (
    "{architecture: {model_type: bert, config: {vocab_size: 2000, hidden_size: 32, num_hidden_layers: 4,"
    " num_attention_heads: 2, intermediate_size: 64}}}"
)
TINY_DISTILBERT = (
    "{architecture: {model_type: distilbert, config: {vocab_size: 2000, dim: 32, n_layers: 2, n_heads: 2,"
    " hidden_dim: 64}}}"
)


def pinned_study(text: str, name: str, folder: Path) -> Pinned:
    """Return the study written in `text`, resolved; relative paths begin at `folder`."""
    return resolve(study_of(parse_yaml(text, name=name), name=name), folder)
