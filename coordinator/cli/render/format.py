"""The words that the tables of a comparison share: titles, heads and names of rows."""

from __future__ import annotations

import textwrap
from dataclasses import replace

from coordinator.text import printable
from joulefleet.compare.formatting import basis_text, short_title
from joulefleet.compare.metrics import Basis
from joulefleet.compare.results import Setting

WIDTH = 100
"""Width of the text, columns."""


def table_key(pair: str, setting: Setting) -> tuple[str, Setting]:
    """Return what all rows of a table share: each row has a model and a task of its own."""
    return pair, replace(setting, model=None, task=None)


def row_name(setting: Setting) -> str:
    """Return the name of a row: its model and its task, where they are not what is compared."""
    return " ".join(name for name in (setting.model, setting.task) if name is not None)


def row_head(setting: Setting) -> str:
    """Return the head of the column of names."""
    return " ".join(head for head, name in (("model", setting.model), ("task", setting.task)) if name is not None)


def interval_head(confidence: float) -> str:
    """Return the head of the column of intervals."""
    return f"{100 * confidence:g} % interval"


def setting_lines(setting: Setting, machine: str | None = None) -> list[str]:
    """Return the line under a table's title: study, machine, and what else both arms share."""
    threads = setting.threads_requested
    words = (
        *(setting.study, machine or setting.machine_id, setting.environment),
        None if setting.batch_size is None else f"batch {setting.batch_size}",
        None if threads is None else "all threads" if threads == 0 else f"{threads} threads",
        *(setting.dtype, setting.regime, setting.imported_levels),
    )
    return wrapped("  ", " · ".join(word for word in words if word is not None))


def metric_title(title: str, basis: Basis | None) -> str:
    """Return the metric's name; energy with its scope and provenance, as joules mean nothing without them."""
    return short_title(title) if basis is None else f"{short_title(title)}, {basis_text(basis)}"


def wrapped(prefix: str, text: str) -> list[str]:
    """Return `text` behind `prefix`, in lines of at most WIDTH columns."""
    indent = " " * len(prefix)
    return textwrap.wrap(printable(text), WIDTH, initial_indent=prefix, subsequent_indent=indent) or [prefix]
