"""The numbers of a comparison as text, the same in its tables, sentences and caveats."""

from __future__ import annotations

import math
from collections.abc import Sequence

from joulefleet.compare.metrics import Basis
from joulefleet.stats import Estimate

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))

_SMALLEST_P = 1e-4
"""A p-value below this depends on the tails of the t distribution, which no data support: only the limit is given."""


def value_text(value: float) -> str:
    """Return `value` with three significant digits; with an exponent only below 0.0001 and from a million on."""
    if value == 0 or not 1e-4 <= abs(value) < 1e6:
        return f"{value:.3g}"
    text = f"{value:#.3g}"
    return f"{value:.0f}" if "e" in text else text.rstrip(".")


def ratio_text(ratio: float) -> str:
    """Return `ratio` with three decimals from 0.1 to 10, so that 1.003 differs from 1; else as `value_text`."""
    return f"{ratio:.3f}" if 0.0995 <= ratio < 9.9995 else value_text(ratio)


def interval_text(low: float | None, high: float | None) -> str | None:
    """Return the interval of a ratio in brackets; None where a limit is None."""
    return None if low is None or high is None else f"[{ratio_text(low)}, {ratio_text(high)}]"


def estimate_text(estimate: Estimate, missing: str = "–") -> str:
    """Return the ratio with its interval, where it has one; `missing` where there is no ratio."""
    if estimate.ratio is None:
        return missing
    interval = interval_text(estimate.low, estimate.high)
    return ratio_text(estimate.ratio) if interval is None else f"{ratio_text(estimate.ratio)} {interval}"


def percent_text(fraction: float, digits: int = 2) -> str:
    """Return `fraction` in per cent with at most so many significant `digits`."""
    percent = 100 * fraction
    text = f"{percent:.{digits}g}"
    return f"{percent:.0f} %" if "e+" in text else f"{text} %"


def deviation_text(variance: float) -> str:
    """Return the standard deviation of a ratio in per cent, from the variance of its logarithm."""
    return percent_text(math.expm1(math.sqrt(variance)))


def p_text(p_value: float) -> str:
    """Return `p = 0.012`, or `p < 0.0001`."""
    return f"p < {_SMALLEST_P:.4f}" if p_value < _SMALLEST_P else f"p = {p_value:.2g}"


def quantity_texts(values: Sequence[float | None], unit: str) -> list[str | None]:
    """Return each of `values` with `unit`, all with the SI prefix of the largest; None for None."""
    known = [abs(value) for value in values if value]
    scale, prefix = (1.0, "")
    if known and unit not in {"%", ""}:
        scale, prefix = next((pair for pair in _PREFIXES if max(known) >= pair[0]), _PREFIXES[-1])
    return [None if value is None else f"{value_text(value / scale)} {prefix}{unit}".rstrip() for value in values]


def short_title(title: str) -> str:
    """Return a metric's title without its explanation in parentheses."""
    return title.split(" (", maxsplit=1)[0]


def basis_text(basis: Basis | None) -> str:
    """Return the words that qualify energy on `basis`: its scope, and its provenance unless it was measured."""
    if basis is None:
        return ""
    return " ".join(word for word in (basis.scope, basis.provenance) if word and word != "measured")
