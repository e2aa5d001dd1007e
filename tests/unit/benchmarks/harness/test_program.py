from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.program import BenchmarkRun, run_program

KEPT = Figure(benchmark="kept", value=1.0, unit="s", bound=2.0)
MISSED = Figure(benchmark="missed", value=3.0, unit="s", bound=2.0)


def closing_line(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return the closing JSON line."""
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def run(figures: Sequence[Figure], *arguments: str) -> int:
    """Run a benchmark that has these figures."""
    return run_program("A benchmark.", lambda run: figures, arguments=arguments)


def test_exit_code_is_0_where_every_bound_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    """A full run shows each bound and its judgement."""
    assert run([KEPT]) == 0
    assert closing_line(capsys) == {
        "benchmark": "kept", "value": 1.0, "unit": "s", "peers": {}, "bound": 2.0, "ok": True
    }  # fmt: skip


def test_exit_code_is_1_where_one_bound_is_missed(capsys: pytest.CaptureFixture[str]) -> None:
    """`make bench` goes by the exit code."""
    assert run([KEPT, MISSED]) == 1
    assert [entry["ok"] for entry in closing_line(capsys)] == [True, False]


def test_smoke_run_judges_no_bound(capsys: pytest.CaptureFixture[str]) -> None:
    """Tiny sizes say nothing about a bound."""
    assert run([MISSED], "--smoke") == 0
    assert closing_line(capsys) == {"benchmark": "missed", "value": 3.0, "unit": "s", "peers": {}, "smoke": True}


def test_smoke_run_has_tiny_sizes_and_says_what_it_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is skipped silently."""
    sizes = []

    def benchmark(run: BenchmarkRun) -> list[Figure]:
        sizes.append(run.size(20_000, 40))
        return [] if run.leaves_out("the peer: it must be downloaded") else [KEPT]

    assert run_program("A benchmark.", benchmark, arguments=["--smoke"]) == 0
    assert closing_line(capsys) == {"left_out": "the peer: it must be downloaded", "smoke": True}
    assert run_program("A benchmark.", benchmark, arguments=[]) == 0
    assert closing_line(capsys)["benchmark"] == "kept"
    assert sizes == [40, 20_000]


def test_ratio_shows_both_of_its_terms() -> None:
    """The closing line names the seconds behind a ratio."""
    figure = ratio("resume", 3.0, 6.0, peer="a loop", unit="s", bound=0.6)
    assert figure.ok
    assert (figure.value, figure.unit) == (0.5, "times a loop")
    assert figure.peers == {"Joulefleet, s": 3.0, "a loop, s": 6.0}


def test_bound_may_be_a_smallest_value() -> None:
    """A share of busy time is the better the larger it is."""
    assert not Figure(benchmark="busy", value=98.0, unit="%", bound=99.0, at_most=False).ok
    assert Figure(benchmark="busy", value=99.5, unit="%", bound=99.0, at_most=False).ok


def test_value_that_is_not_a_number_misses_its_bound_and_is_null() -> None:
    """JSON has no NaN."""
    figure = ratio("overhead", 1.0, math.nan, peer="a peer", unit="s", bound=1.0)
    assert not figure.ok
    assert figure.entry(smoke=False)["value"] is None
