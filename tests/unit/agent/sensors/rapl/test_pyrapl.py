import logging
from pathlib import Path

import pytest

from agent.sensors.rapl.domains import Domain
from agent.sensors.rapl.pyrapl import PyraplSensor, open_pyrapl
from tests.support.machines import unpacked
from tests.support.pyrapl import FakeDevice, FakePyrapl

PROC = Path("/proc")


def sensor(library: FakePyrapl, *channels: str, indices: tuple[int, ...]) -> PyraplSensor:
    """Return the sensor over `library`, with these counters at these indices."""
    domains = tuple(
        Domain(channel=channel, kind="package", range_uj=10**9, peak_w=500.0, counts_in=frozenset({"package"}))
        for channel in channels
    )
    return PyraplSensor(library=library, indices=indices, domains=domains, missing=(), of_running_kernel=True)


def test_values_are_whole_microjoules_of_their_indices() -> None:
    """PyRAPL returns package and memory of each socket in turn, as floats; sockets that do not exist are skipped."""
    library = FakePyrapl(values=[1.0, -1, -1, -1, 262_143_328_849.0, 7.0])
    pyrapl = sensor(library, "package-0", "package-2", indices=(0, 4))
    assert pyrapl.decode(pyrapl.read()) == (1, 262_143_328_849)
    assert all(isinstance(value, int) for value in pyrapl.decode(pyrapl.read()))
    assert [(c.name, c.unit, c.kind, c.source) for c in pyrapl.channels] == [
        ("package-0", "uJ", "counter", "pyrapl"),
        ("package-2", "uJ", "counter", "pyrapl"),
    ]


def test_a_read_is_eight_bytes_a_value() -> None:
    """A long window keeps a hundred thousand of them."""
    (field,) = sensor(FakePyrapl(values=[1.0, -1.0]), "package-0", indices=(0,)).read()
    assert len(field or b"") == 16


@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_what_is_no_counter_decodes_to_none(value: float) -> None:
    """PyRAPL returns -1 for a socket without a counter."""
    pyrapl = sensor(FakePyrapl(values=[value]), "package-0", indices=(0,))
    assert pyrapl.decode(pyrapl.read()) == (None,)


@pytest.mark.parametrize("error", [OSError(), ValueError(), IndexError()])
def test_a_read_that_raises_is_none(error: Exception) -> None:
    """Later reads may succeed again."""
    library = FakePyrapl(values=[5.0], error=error)
    pyrapl = sensor(library, "package-0", indices=(0,))
    assert pyrapl.read() == (None,)
    assert pyrapl.decode(pyrapl.read()) == (None,)
    library.error = None
    assert pyrapl.decode(pyrapl.read()) == (5,)


def test_fewer_values_than_before_are_none() -> None:
    """No channel gets the value of another."""
    pyrapl = sensor(FakePyrapl(values=[5.0]), "package-0", "package-1", indices=(0, 2))
    assert pyrapl.decode(pyrapl.read()) == (5, None)


def test_a_closed_sensor_reads_none(tmp_path: Path) -> None:
    """Its files are closed, which pyRAPL itself never does. A second close does nothing."""
    (tmp_path / "energy_uj").touch()
    file = (tmp_path / "energy_uj").open()
    library = FakePyrapl(values=[5.0], _device_api={0: FakeDevice(_socket_ids=[0], _sys_files=[file])})
    pyrapl = sensor(library, "package-0", indices=(0,))
    pyrapl.close()
    pyrapl.close()
    assert file.closed
    assert pyrapl.read() == (None,)
    assert pyrapl.decode(pyrapl.read()) == (None,)


def test_another_root_than_sys_is_missing_with_the_reason() -> None:
    """PyRAPL reads only /sys, whose numbers would be those of another machine."""
    pyrapl = open_pyrapl(unpacked("two-packages-with-dram") / "sys", PROC)
    (missing,) = pyrapl.missing
    assert "pyRAPL reads only /sys" in missing.message
    assert missing.cure
    assert pyrapl.channels == ()
    assert [d.channel for d in pyrapl.domains] == ["package-0", "package-0/dram", "package-1", "package-1/dram"]
    assert {d.reason for d in pyrapl.domains} == {missing.message}
    assert not pyrapl.of_running_kernel
    assert pyrapl.longest_power_limit_window_s is not None
    pyrapl.close()


def test_this_machine_is_read_or_listed_as_missing() -> None:
    """The real /sys raises nothing and leaves no handler on the root logger."""
    handlers = list(logging.getLogger().handlers)
    pyrapl = open_pyrapl(Path("/sys"), PROC)
    assert len(pyrapl.decode(pyrapl.read())) == len(pyrapl.channels)
    assert pyrapl.channels or pyrapl.missing
    pyrapl.close()
    assert logging.getLogger().handlers == handlers
