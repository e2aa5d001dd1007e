"""The log of a simulated machine's true energy."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.simulation.truth import TruthLog, read_truth
from joulefleet.errors import MachineError


def written(path: Path) -> Path:
    """Write steps at 10, 20 and 50 ns; the second domain draws twice as much as the first. Return `path`."""
    log = TruthLog(path, ["package-0", "psys"])
    for t_ns, uj in ((10, 0), (20, 1_000_000), (50, 7_000_000)):
        log.add(t_ns, [uj, 2 * uj])
    log.close()
    return path


def test_energy_between_two_steps_lies_on_a_line(tmp_path: Path) -> None:
    """The power does not change between two steps."""
    truth = read_truth(written(tmp_path / "truth"))
    assert truth.channels == ("package-0", "psys")
    assert truth.span_ns == (10, 50)
    assert truth.joules("package-0", 15, 35) == pytest.approx(3.5)
    assert truth.joules("psys", 10, 50) == 14.0


def test_pauses_are_seen_inside_a_span_and_around_its_ends(tmp_path: Path) -> None:
    """A mark during a long pause read an old counter."""
    truth = read_truth(written(tmp_path / "truth"))
    assert truth.longest_pause_ns(11, 19) == 10
    assert truth.longest_pause_ns(11, 21) == 30
    assert truth.longest_pause_ns(30, 40) == 30
    assert truth.age_ns(49) == 29
    assert truth.age_ns(20) == 0


def test_a_time_beyond_the_log_is_refused(tmp_path: Path) -> None:
    """The log is not extrapolated."""
    truth = read_truth(written(tmp_path / "truth"))
    with pytest.raises(ValueError, match="not within the log"):
        truth.joules("psys", 10, 51)


def test_a_log_that_is_being_written_is_read_up_to_its_last_whole_step(tmp_path: Path) -> None:
    """The last record may be incomplete."""
    path = written(tmp_path / "truth")
    path.write_bytes(path.read_bytes()[:-3])
    assert read_truth(path).span_ns == (10, 20)


@pytest.mark.parametrize("content", [b"", b"words\n", b"[1]\n", b'{"channels": ["psys"]}\n'])
def test_anything_else_is_refused_with_a_cure(tmp_path: Path, content: bytes) -> None:
    """The error names the file."""
    path = tmp_path / "truth"
    path.write_bytes(content)
    with pytest.raises(MachineError, match="truth"):
        read_truth(path)
