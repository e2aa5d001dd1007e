"""The simulations of benchmarks/compare on few studies: that they are what they say, and that a miss is one."""

from __future__ import annotations

import numpy as np

from benchmarks.compare import validity
from benchmarks.compare import validity_tally as tally
from benchmarks.compare.validity_scenarios import WITHIN, scenarios

STUDIES = 200


def test_methods_keep_their_bounds_and_limits_are_limits() -> None:
    """200 studies tell 95 % from 80 %: every row with bounds keeps them, and what breaks an assumption shows."""
    broken = {
        "AR(1) of one arm over blocks, 30 blocks",
        "carry-over in 2 cells, 30 blocks",
        "drift in 2 cells, 30 blocks",
        "exponential noise in one, 5 blocks",
    }
    seen = set()
    for scenario in scenarios():
        name = validity.title(scenario)
        if "machines" in name and "3 machines" not in name:
            continue
        studies = 40 if "machines" in name else STUDIES
        if name.startswith("two stages"):
            if "normal" not in name:
                continue
            studies = 100
        for row, found in zip(scenario.rows, validity.chunk(scenario, 0, studies), strict=True):
            assert row.limit or row.verdict(found) == "ok", (row, found)
            assert found.coverage is None or found.coverage < 1 or "machines" in name, (row, found)
            if f"{row.name}, {row.size}" in broken:
                seen.add(name)
                assert found.coverage is not None
                assert found.coverage < 0.9, (row, found)
    assert seen == broken


def test_a_seed_gives_its_studies_again() -> None:
    """On any number of CPUs; another part of the same scenario has others."""
    scenario = next(scenarios())
    assert validity.chunk(scenario, 0, 50) == validity.chunk(scenario, 0, 50)
    assert validity.chunk(scenario, 0, 50) != validity.chunk(scenario, 1, 50)


def test_names_tell_scenarios_apart() -> None:
    """A scenario's seed is made of its name."""
    names = [validity.title(scenario) for scenario in scenarios()]
    assert len(set(names)) == len(names)


def test_students_cost_what_their_teachers_do() -> None:
    """In the mean of many blocks, in every scenario within the assumptions; the two are never the same values."""
    for name, maker in WITHIN.items():
        teacher, student = maker(np.random.default_rng(7), 2000, 10)
        assert teacher.shape == student.shape == (2000, 10)
        logs = np.log(student / teacher)
        error = float(np.std(logs.mean(axis=1))) / np.sqrt(2000)
        assert error > 0
        assert abs(float(logs.mean())) < 4 * error, name


def test_beyond_a_bound_is_missed() -> None:
    """By false positives, by coverage or by width; a limit is never missed, a width with a reason neither."""
    row = tally.Row(name="a", size="b")
    kept = tally.Tally(tests=1000, false_positives=70, intervals=1000, covered=930, width=1.15, oracle=1.0)
    assert row.verdict(kept) == "ok"
    for field, value in (("false_positives", 71), ("covered", 929), ("width", 1.16)):
        found = tally.Tally(**{**{name: getattr(kept, name) for name in tally.Tally.__slots__}, field: value})
        assert row.verdict(found) == "MISSED"
        assert tally.Row(name="a", size="b", limit="known").verdict(found) == "limit"
        assert tally.Row(name="a", size="b", wide="known").verdict(found) == ("ok" if field == "width" else "MISSED")


def test_a_line_shows_what_was_asked() -> None:
    """A scenario without intervals, or without tests, leaves the place free."""
    tested = validity.line(tally.Row(name="a", size="b"), tally.Tally(tests=20_000, false_positives=1000))
    assert "5.00% (<= 5.46%)" in tested
    assert tested.endswith(" ok")
    covered = validity.line(tally.Row(name="a", size="b", limit="why"), tally.Tally(intervals=1000, covered=900))
    assert "90.00%" in covered
    assert covered.endswith(" limit: why")


def test_the_closing_figures_are_the_worst() -> None:
    """Of what has bounds."""
    row, limit = tally.Row(name="a", size="b"), tally.Row(name="a", size="b", limit="known")
    good = tally.Tally(tests=1000, false_positives=40, intervals=1000, covered=960, width=0.9, oracle=1.0)
    bad = tally.Tally(tests=1000, false_positives=90, intervals=1000, covered=910, width=1.3, oracle=1.0)
    assert all(figure.ok for figure in validity.figures([(row, good), (limit, bad)]))
    assert [figure.ok for figure in validity.figures([(row, good), (row, bad)])] == [False] * 3
