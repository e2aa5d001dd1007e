"""How a comparison says its numbers and sentences, in tables and below them."""

from __future__ import annotations

import textwrap

from coordinator.tables import printable
from joulefleet.analysis.comparison import Setting
from joulefleet.analysis.metrics import Basis

WIDTH = 100


def table_of(pair: str, setting: Setting) -> tuple[object, ...]:
    """What all rows of a table share: the task is theirs alone."""
    return (
        *(setting.study, pair, setting.machine_id, setting.batch_size, setting.threads_asked, setting.dtype),
        *(setting.environment, setting.regime, setting.weights_source),
    )


def where_line(setting: Setting, machine: str | None = None) -> list[str]:
    """The line under a table's title: study, machine where it is one, and setting."""
    threads = "all threads" if setting.threads_asked == 0 else f"{setting.threads_asked} threads"
    words = (
        *(word for word in (setting.study, machine or setting.machine_id) if word is not None),
        *(setting.environment, f"batch {setting.batch_size}", threads, setting.dtype, setting.regime),
    )
    return sentence("  ", " · ".join(map(str, words)))


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
