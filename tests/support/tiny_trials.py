"""Trials and studies of models so small that they run in milliseconds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from coordinator.planning.resolve import resolve
from joulefleet.plan.design import Design
from joulefleet.plan.expand import Pinned, cells
from joulefleet.plan.trial import Cell, Trial
from joulefleet.study.load import study_of
from joulefleet.study.spec import Study
from joulefleet.yamlfile.reader import parse_yaml

TINY_STUDY = """
name: tiny
seed: 1
regime: burst
repetitions: 2
models:
  big:
    architecture:
      model_type: bert
      config: {vocab_size: 2000, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 64}
  small:
    architecture:
      model_type: distilbert
      config: {vocab_size: 2000, dim: 32, n_layers: 2, n_heads: 2, hidden_dim: 64}
tasks:
  one: {preset: sst2, items: {synthetic: {count: 4}}}
  two: {preset: mnli, items: {synthetic: {count: 4}}}
pairs:
  tiny: {teacher: big, student: small}
# One thread: on a busy machine two of them wait for each other at every one of these tiny layers.
factors: {threads: [1]}
measure:
  baseline_s: 0.02
  warm_up: {at_least_s: 0, at_most_s: 0}
  window: {passes: 3}
  cool_down: {fixed_s: 0, at_most_s: 0}
  timeout_s: 60
  modelled: {}
"""


def tiny_study(text: str = TINY_STUDY) -> Study:
    """Return the tiny study, or another one."""
    return study_of(parse_yaml(text, name="tiny"), name="tiny")


def tiny_pinned(text: str = TINY_STUDY, base: Path | None = None) -> Pinned:
    """Return the study with its models and items pinned."""
    return resolve(tiny_study(text), base or Path.cwd())


def trial_of(pinned: Pinned, cell: Cell, *, store_id: str = "store") -> Trial:
    """Return the first trial of `cell`."""
    design = Design(pinned, store_id=store_id)
    for block in design.blocks("machine", design.passes({})):
        for trial in block.trials:
            if trial.cell == cell:
                return trial
    raise LookupError(cell)


def tiny_trial(**changes: Any) -> Trial:
    """Return a trial of the tiny study, with some fields changed."""
    pinned = tiny_pinned()
    return replace(trial_of(pinned, cells(pinned.study)[0]), **changes)
