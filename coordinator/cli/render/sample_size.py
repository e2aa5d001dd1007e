"""Sample sizes as plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from coordinator.cli.render.format import sentence
from coordinator.text import table_lines
from joulefleet.compare.conclusions import percent_of
from joulefleet.compare.sample_size import Sizing
from joulefleet.stats.sample_size import Size

_HEADERS = ("machines", "blocks on each", "expected")


def sizing_lines(found: Sequence[Sizing], precision: float) -> Iterator[str]:
    """What each ratio needs."""
    if not found:
        yield "No study of this store has a pair of which anything was measured: run some blocks first."
    for one in found:
        setting = one.setting
        yield from sentence("", f"{one.pair} on {setting.task}: {one.metric} within {precision:g} %")
        where = (setting.study, setting.environment, f"batch {setting.batch_size}", setting.dtype, setting.regime)
        yield from sentence("  ", " · ".join(map(str, where)))
        yield from sentence(
            "  ",
            f"from {one.blocks} blocks of {one.machines} machines: between blocks {_percent(one.spread.block)}, "
            f"between machines {_percent(one.spread.machine)}, between CPU models {_percent(one.spread.cpu_model)}",
        )
        if one.sizes:
            yield from stated_lines(one.sizes, indent="  ")
        if one.reason is not None:
            yield from sentence("  ! ", f"{one.reason}.")
        yield ""


def stated_lines(sizes: Sequence[Size], *, indent: str = "") -> Iterator[str]:
    """One line a number of machines."""
    rows = [
        (
            str(size.machines),
            "never: add machines" if size.blocks is None else str(size.blocks),
            "" if size.factor is None else f"±{100 * (size.factor - 1):.2g} %",
        )
        for size in sizes
    ]
    yield from table_lines(_HEADERS, rows, right=(0, 1, 2), indent=indent)


def _percent(variance: float | None) -> str:
    return "unknown" if variance is None else percent_of(variance)
