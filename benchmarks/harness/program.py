"""The main function of every benchmark: options, the closing JSON line, and the exit code.

With `--smoke` a benchmark runs the same code on tiny sizes, within seconds. It judges no bound, and it
names everything that it has left out.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from benchmarks.harness.figures import Figure

ROOT = Path(__file__).resolve().parents[2]
"""The repository."""

SizeT = TypeVar("SizeT")


@dataclass(slots=True)
class BenchmarkRun:
    """One run of a benchmark: its options, its sizes, and what it has left out."""

    options: argparse.Namespace
    smoke: bool = False
    left_out: list[str] = field(default_factory=list)

    def size(self, full: SizeT, smoke: SizeT) -> SizeT:
        """Return `full`, or `smoke` in a smoke run."""
        return smoke if self.smoke else full

    def leaves_out(self, part: str) -> bool:
        """Return whether this is a smoke run; if so, record that `part` (with the reason) was left out."""
        if self.smoke:
            self.left_out.append(part)
        return self.smoke


def run_program(
    description: str | None,
    benchmark: Callable[[BenchmarkRun], Sequence[Figure]],
    *,
    add_options: Callable[[argparse.ArgumentParser], None] = lambda parser: None,
    arguments: Sequence[str] | None = None,
) -> int:
    """Run `benchmark`, print the closing JSON line to stdout, and return the exit code: 1 where a bound is missed.

    description: the text of `--help`, usually the docstring of the program.
    add_options: adds the program's own options to the parser.
    arguments: those of the command line where left out.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, in seconds; no bound is judged")
    add_options(parser)
    options = parser.parse_args(arguments)
    run = BenchmarkRun(options, smoke=options.smoke)
    figures = benchmark(run)
    for part in run.left_out:
        print(f"left out: {part}", file=sys.stderr)
    entries = [figure.entry(smoke=run.smoke) for figure in figures]
    entries += [{"left_out": part, "smoke": True} for part in run.left_out]
    print(json.dumps(entries[0] if len(entries) == 1 else entries, ensure_ascii=False))
    return 0 if run.smoke or all(figure.ok for figure in figures) else 1
