"""Sample sizes as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.cli.render.format import wrapped
from coordinator.text import table_lines
from joulefleet.compare.formatting import deviation_text, percent_text
from joulefleet.compare.sample_size import Sizing
from joulefleet.stats.sample_size import Size

_HEADS = ("machines", "blocks on each", "expected")


def sizing_lines(sizings: Sequence[Sizing], precision: float) -> Iterator[str]:
    """Yield what each ratio needs; `precision` is the requested half-width, per cent."""
    if not sizings:
        yield "No study of this store has a pair of which anything was measured: run some blocks first."
    for sizing in sizings:
        setting, spread = sizing.setting, sizing.spread
        yield from wrapped("", f"{sizing.pair} on {setting.task}: {sizing.metric} within {precision:g} %")
        where = (setting.study, setting.environment, f"batch {setting.batch_size}", setting.dtype, setting.regime)
        yield from wrapped("  ", " · ".join(map(str, where)))
        source = (
            f"from {sizing.blocks} blocks of {sizing.machines} machines: between blocks {_deviation(spread.block)}, "
            f"between machines {_deviation(spread.machine)}, between CPU models {_deviation(spread.cpu_model)}"
        )
        yield from wrapped("  ", source)
        if sizing.sizes:
            yield from stated_lines(sizing.sizes, indent="  ")
        if sizing.reason is not None:
            yield from wrapped("  ! ", f"{sizing.reason}.")
        yield ""


def stated_lines(sizes: Sequence[Size], *, indent: str = "") -> Iterator[str]:
    """Yield a table with one row for each number of machines."""
    rows = [
        (
            str(size.machines),
            "no number: add machines" if size.blocks is None else str(size.blocks),
            "" if size.factor is None else f"±{percent_text(size.factor - 1)}",
        )
        for size in sizes
    ]
    yield from table_lines(_HEADS, rows, right=(0, 1, 2), indent=indent)


def _deviation(variance: float | None) -> str:
    return "unknown" if variance is None else deviation_text(variance)
