"""The model of a simulated machine."""

from __future__ import annotations

import pytest

from agent.simulation.machine import FINE_UNIT_NJ, INTEL_UNIT_NJ, SimulatedMachine, bits_for_range

WHOLE = SimulatedMachine(dram=True, core=True, uncore=True, psys=True)


def test_ranges_and_values_are_those_of_the_kernels_driver() -> None:
    """262143328850 is the range that servers show; a value is a whole number of units times the driver's unit."""
    package = SimulatedMachine().domains[0]
    assert package.max_energy_range_uj == 262_143_328_850
    assert package.shown_uj(3 * INTEL_UNIT_NJ * 1000 - 1) == 122
    assert package.shown_uj(3 * INTEL_UNIT_NJ * 1000) == 183


def test_a_counter_wraps_after_all_its_counts() -> None:
    """After the last count it is 0 again."""
    package = SimulatedMachine(bits=10).domains[0]
    unit_pj = INTEL_UNIT_NJ * 1000
    assert package.shown_uj(1023 * unit_pj) == package.max_energy_range_uj
    assert package.shown_uj(1024 * unit_pj) == 0


def test_domains_are_numbered_as_the_kernel_numbers_them() -> None:
    """Each package has its parts inside, and psys comes after the packages."""
    names = [(domain.zone, domain.channel) for domain in SimulatedMachine(core=True, psys=True).domains]
    assert names == [
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "package-0/core"),
        ("intel-rapl:0:1", "package-0/dram"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:1:0", "package-1/core"),
        ("intel-rapl:1:1", "package-1/dram"),
        ("intel-rapl:2", "psys"),
    ]


def test_each_die_is_a_counter_of_its_own() -> None:
    """Two dies of two packages are four counters, which share the power of their packages."""
    one, two = SimulatedMachine(dram=False), SimulatedMachine(dram=False, dies=2)
    assert [d.name for d in two.domains] == ["package-0-die-0", "package-0-die-1", "package-1-die-0", "package-1-die-1"]
    assert sum(two.peaks_mw) == sum(one.peaks_mw)


def test_parts_draw_less_than_their_package_and_psys_more_than_all() -> None:
    """Core and uncore are parts of the package, and psys contains packages and memory."""
    powers = dict(zip((d.channel for d in WHOLE.domains), WHOLE.powers_mw([0.3, 0.9], [0.5, -0.5, 1, -1]), strict=True))
    for package in ("package-0", "package-1"):
        assert powers[f"{package}/core"] + powers[f"{package}/uncore"] < powers[package]
    assert powers["psys"] > sum(powers[f"package-{n}"] + powers[f"package-{n}/dram"] for n in (0, 1))


@pytest.mark.parametrize("noise", [-1.0, 0.0, 1.0])
def test_every_power_is_above_0_and_at_most_the_peak(noise: float) -> None:
    """The noise stays within the machine's own bound."""
    for utilisation in (0.0, 1.0):
        powers = WHOLE.powers_mw([utilisation] * 2, [noise] * 4)
        assert all(0 < power <= peak for power, peak in zip(powers, WHOLE.peaks_mw, strict=True))


def test_power_limits_follow_the_busy_power_unless_given() -> None:
    """Readers believe no more than the highest limit, so it must not be below the busy power."""
    machine = SimulatedMachine(busy_w=100, psys=True)
    package, dram, *_, psys = machine.domains
    assert [limit[1] for limit in machine.limits_uw(package)] == [100_000_000, 120_000_000]
    assert machine.limits_uw(dram) == ()
    assert [limit[1] for limit in machine.limits_uw(psys)] == [252_000_000, 292_000_000]
    given = SimulatedMachine(long_term_w=50, short_term_w=60)
    assert given.limits_uw(package)[1] == ("short_term", 60_000_000, 1_952)


def test_all_mistakes_are_reported_at_once_each_with_a_cure() -> None:
    """Nobody should have to fix one to see the next."""
    assert SimulatedMachine().mistakes() == []
    mistakes = SimulatedMachine(sockets=0, idle_w=300, noise=2, busy_w=200, dram_busy_w=1, long_term_w=-1).mistakes()
    assert len(mistakes) == 5
    assert all("give" in mistake for mistake in mistakes)


def test_more_power_than_readers_believe_is_a_mistake() -> None:
    """A reader would take it for a reset of the counter."""
    assert "believe" in SimulatedMachine(busy_w=900, long_term_w=100, short_term_w=100).mistakes()[0]
    assert SimulatedMachine(busy_w=900).mistakes() == []


@pytest.mark.parametrize(
    ("machine", "channel", "believed", "cure"),
    [
        (SimulatedMachine(dram_busy_w=2000), "package-0/dram", "500 W", "lower its busy power"),
        (SimulatedMachine(sockets=8, psys=True, long_term_w=10, short_term_w=10), "psys", "500 W", "leave psys out"),
        (SimulatedMachine(busy_w=900, core=True), "package-0/core", "500 W", "leave core out"),
        (SimulatedMachine(busy_w=600, noise=0.5), "package-0", "720 W", "lower the busy power or the noise"),
        (SimulatedMachine(busy_w=900, psys=True, short_term_w=950, noise=0.1), "package-0", "950 W", "raise a power"),
    ],
)
def test_every_counter_must_draw_what_readers_believe_of_it(
    machine: SimulatedMachine, channel: str, believed: str, cure: str
) -> None:
    """Readers believe a domain's own limits, or 500 W: the limits of a package do not apply to its memory."""
    reported = next(mistake for mistake in machine.mistakes() if mistake.startswith(f"{channel} draws"))
    assert f"believe {believed} of it" in reported
    assert cure in reported


def test_each_kind_of_counter_is_reported_once() -> None:
    """Eight memories of one machine are one mistake."""
    assert len(SimulatedMachine(sockets=8, dram_busy_w=2000).mistakes()) == 1


def test_impossible_powers_are_reported_with_impossible_numbers() -> None:
    """The check does not build a machine of a billion sockets."""
    sockets, power = SimulatedMachine(sockets=10**9, dram_busy_w=2000).mistakes()
    assert "sockets is 1000000000" in sockets
    assert "package-0/dram draws" in power
    assert len(SimulatedMachine(dies=0, dram_busy_w=2000).mistakes()) == 2


def test_a_die_is_believed_what_its_package_may_draw() -> None:
    """Each die shows the limits of its package and draws a share of its power."""
    assert SimulatedMachine(busy_w=900, dies=2, long_term_w=100, short_term_w=100).mistakes() == []


@pytest.mark.parametrize("dies", [1, 2, 4])
def test_a_packages_peak_is_that_of_all_its_dies_and_of_nothing_else(dies: int) -> None:
    """Neither psys nor a memory that draws more is a package."""
    machine = SimulatedMachine(sockets=2, dies=dies, psys=True, busy_w=100, noise=0.02, dram_busy_w=150)
    assert machine.package_peak_w == pytest.approx(102)


@pytest.mark.parametrize(("range_j", "unit_nj", "bits"), [(262_143, INTEL_UNIT_NJ, 32), (1000, INTEL_UNIT_NJ, 24)])
def test_bits_are_chosen_by_the_range(range_j: float, unit_nj: int, bits: int) -> None:
    """The range of a whole number of bits is the nearest possible one."""
    assert bits_for_range(range_j, unit_nj) == bits
    assert bits_for_range(range_j, FINE_UNIT_NJ) == bits + 2
