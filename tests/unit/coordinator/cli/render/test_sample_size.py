"""Sample sizes as text."""

from __future__ import annotations

from dataclasses import replace

from coordinator.cli.render.sample_size import sizing_lines, stated_lines
from joulefleet.compare.results import Setting
from joulefleet.compare.sample_size import Sizing
from joulefleet.stats.sample_size import Size
from joulefleet.stats.variance_components import Components

SIZING = Sizing(
    pair="p",
    setting=Setting(study="one", task="sst2", batch_size=1, dtype="float32", environment="bare", regime="burst"),
    metric="time",
    machines=6,
    blocks=36,
    spread=Components(cpu_model=None, machine=0.01, block=0.0004),
    sizes=(Size(machines=1, blocks=7, factor=1.0487), Size(machines=3, blocks=None, factor=None)),
    reason=None,
)


def test_a_ratio_is_shown_with_its_source_and_sizes() -> None:
    """A number of machines that is never enough has no precision."""
    assert list(sizing_lines([SIZING], 5.0)) == [
        "p on sst2: time within 5 %",
        "  one · bare · batch 1 · float32 · burst",
        "  from 36 blocks of 6 machines: between blocks 2 %, between machines 11 %, between CPU models",
        "  unknown",
        "  machines           blocks on each  expected",
        "         1                        7    ±4.9 %",
        "         3  no number: add machines",
        "",
    ]


def test_what_is_not_known_has_a_reason() -> None:
    """Without any sizes there is no table; a store without pairs has a sentence."""
    lines = list(sizing_lines([replace(SIZING, sizes=(), reason="no machine has two blocks that differ")], 5.0))
    assert lines[-2] == "  ! no machine has two blocks that differ."
    assert not any("expected" in line for line in lines)
    assert "run some blocks first" in next(sizing_lines([], 5.0))


def test_stated_sizes_are_the_table_alone() -> None:
    """The table is not indented."""
    assert next(stated_lines(SIZING.sizes)).startswith("machines")
