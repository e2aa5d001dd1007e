"""The command line of a simulated machine. All mistakes in it are reported at once."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from typing import Any

from agent.simulation.machine import FINE_UNIT_NJ, INTEL_UNIT_NJ, SimulatedMachine, bits_for_range
from joulefleet.errors import EXIT_USAGE

_EPILOG = """examples:
  python -m agent.simulation --root /tmp/machine
      two packages with memory, and counters as on a real server
  python -m agent.simulation --root /tmp/machine --sockets 1 --no-dram --core --uncore --psys --mmio
      a laptop
  python -m agent.simulation --root /tmp/machine --range-j 2000
      counters that wrap sooner: those of the packages every ten seconds when busy and every fifty when idle,
      those of the memory every two to eight minutes

then, in another terminal:
  JOULEFLEET_SYSFS_ROOT=/tmp/machine joulefleet doctor

Rows measured on it are marked `simulated`, never `measured`.
"""

_DECIMALS = (
    ("idle-w", "W", "power of an idle package"),
    ("busy-w", "W", "power of a package whose CPUs are all busy"),
    ("dram-idle-w", "W", "power of the memory of an idle package"),
    ("dram-busy-w", "W", "power of the memory of a busy package"),
    ("noise", "SHARE", "largest deviation of the power, as a share of the busy power"),
    ("long-term-w", "W", "power limit of a package over a second (left out: its busy power)"),
    ("short-term-w", "W", "power limit of a package over two milliseconds (left out: a fifth above its busy power)"),
    ("range-j", "J", "range of the counters, approximately (left out: as real ones, 262143)"),
)
_WHOLE = (
    ("sockets", "N", "packages"),
    ("dies", "N", "dies of a package, each with counters of its own"),
    ("seed", "N", "seed of the noise, and of where the counters begin"),
)
_FLAGS = (
    ("dram", "counters of the memory of each package"),
    ("core", "counters of the cores, which are parts of the packages"),
    ("uncore", "counters of the uncore, which is a part of the packages"),
    ("psys", "a counter of the platform, packages and memory included"),
    ("mmio", "show each package a second time, as intel-rapl-mmio"),
    ("fine-unit", "counters in units of 15.258 uJ instead of 61.035"),
)
_FIELDS = {field.name for field in fields(SimulatedMachine)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one simulation."""

    root: Path
    machine: SimulatedMachine
    seed: int


@dataclass(frozen=True, slots=True)
class _Wrong:
    """An option that is not the number it must be."""

    text: str
    """What the user gave."""
    needed: str
    """What the option needs, such as `a whole number`."""


def read_options(argv: Sequence[str] | None, *, cpus: int) -> Options:
    """Return the options in `argv`, on a machine of `cpus` logical CPUs. Raises SystemExit and prints every mistake."""
    parser = _parser()
    given = {name: value for name, value in vars(parser.parse_args(argv)).items() if value is not None}
    mistakes = [
        f"--{name.replace('_', '-')} {wrong.text}: give {wrong.needed}."
        for name, wrong in given.items()
        if isinstance(wrong, _Wrong)
    ]
    given = {name: value for name, value in given.items() if not isinstance(value, _Wrong)}
    if given.pop("fine_unit", False):
        given["unit_nj"] = FINE_UNIT_NJ
    range_j = given.pop("range_j", None)
    unit_nj = given.get("unit_nj", INTEL_UNIT_NJ)
    if range_j is not None and not 1 <= range_j <= (2**32 - 1) * unit_nj / 1e9:
        mistakes.append(f"--range-j {range_j:g}: give 1 to {(2**32 - 1) * unit_nj / 1e9:.0f} joules.")
    elif range_j is not None:
        given["bits"] = bits_for_range(range_j, unit_nj)
        given["dram_bits"] = min(32, bits_for_range(range_j, SimulatedMachine().dram_unit_nj))
    machine = SimulatedMachine(**{name: value for name, value in given.items() if name in _FIELDS})
    mistakes += machine.mistakes()
    if machine.sockets > cpus:
        mistakes.append(f"--sockets {machine.sockets}: give at most {cpus}, one for each CPU of this machine.")
    if mistakes:
        lines = "".join(f"  {mistake}\n" for mistake in mistakes)
        parser.exit(EXIT_USAGE, f"{parser.prog}: {len(mistakes)} mistake(s); see --help.\n{lines}")
    return Options(root=given["root"], machine=machine, seed=given.get("seed", 0))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m agent.simulation",
        description="Simulate a machine with energy counters: files as in /sys that follow the load of this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--root", type=Path, required=True, metavar="DIR", help="a new folder, or one of an earlier simulation"
    )
    defaults = SimulatedMachine()
    # The converters do not raise, as argparse would stop at the first mistake.
    for option, unit, text in _WHOLE:
        default = getattr(defaults, option, 0)
        parser.add_argument(f"--{option}", type=_whole, metavar=unit, help=f"{text} ({default})")
    for option, unit, text in _DECIMALS:
        default = getattr(defaults, option.replace("-", "_"), None)
        end = "" if default is None else f" ({default:g})"
        parser.add_argument(f"--{option}", type=_decimal, metavar=unit, help=text + end)
    for option, text in _FLAGS:
        end = " (yes)" if getattr(defaults, option, False) else ""
        parser.add_argument(f"--{option}", action=argparse.BooleanOptionalAction, help=text + end)
    return parser


def _decimal(text: str) -> Any:
    try:
        value = float(text)
    except ValueError:
        return _Wrong(text, "a number")
    return value if isfinite(value) else _Wrong(text, "a finite number")


def _whole(text: str) -> Any:
    try:
        return int(text)
    except ValueError:
        return _Wrong(text, "a whole number")
