"""How a comparison says its numbers and sentences, in tables and below them."""

from __future__ import annotations

import textwrap

from coordinator.text import printable
from joulefleet.compare.metrics import Basis
from joulefleet.compare.results import Setting

WIDTH = 100


def table_of(pair: str, setting: Setting) -> tuple[object, ...]:
    """What all rows of a table share: the task is theirs alone."""
    return (
        *(setting.study, pair, setting.machine_id, setting.batch_size, setting.threads_asked, setting.dtype),
        *(setting.environment, setting.regime, setting.weights_source, setting.imported_levels),
    )


def row_name(setting: Setting) -> str:
    """What tells the rows of a table apart: model and task, where they are not what is compared."""
    return " ".join(name for name in (setting.model, setting.task) if name is not None)


def row_head(setting: Setting) -> str:
    """The head of the rows' names."""
    return " ".join(head for head, name in (("model", setting.model), ("task", setting.task)) if name is not None)


def interval_head(confidence: float) -> str:
    """The head of the intervals."""
    return f"{100 * confidence:g} % interval"


def where_line(setting: Setting, machine: str | None = None) -> list[str]:
    """The line under a table's title: study, machine where it is one, and what else both arms share."""
    threads = setting.threads_asked
    words = (
        *(setting.study, machine or setting.machine_id, setting.environment),
        None if setting.batch_size is None else f"batch {setting.batch_size}",
        None if threads is None else "all threads" if threads == 0 else f"{threads} threads",
        *(setting.dtype, setting.regime, setting.imported_levels),
    )
    return sentence("  ", " · ".join(word for word in words if word is not None))


def metric_title(title: str, basis: Basis | None) -> str:
    """The metric's name; joules mean nothing without what they are joules of."""
    short = title.split(" (", maxsplit=1)[0]
    if basis is None:
        return short
    what = (basis.scope, None if basis.provenance == "measured" else basis.provenance)
    return f"{short}, {' '.join(word for word in what if word)}"


def digits(value: float) -> str:
    """Three significant digits, never in the notation with an exponent where it can be helped."""
    if value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    text = f"{value:#.3g}"
    return f"{value:.0f}" if "e" in text else text.rstrip(".")


def sentence(mark: str, text: str) -> list[str]:
    """`text` behind `mark`, in lines of the width."""
    indent = " " * len(mark)
    return textwrap.wrap(printable(text), WIDTH, initial_indent=mark, subsequent_indent=indent) or [mark]
