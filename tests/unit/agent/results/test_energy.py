from dataclasses import replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.results.energy import CounterSeries, choose_scope, phase_energies
from agent.sensors.rapl.domains import Domain, DomainKind
from joulefleet.measurement import Energy, Phase, PrimaryEnergy

RANGE_UJ = 262_143_328_850
SECOND = 1_000_000_000


def domain(channel: str, kind: DomainKind, *scopes: str, reason: str | None = None) -> Domain:
    """Return a domain with the usual range and peak power."""
    return Domain(
        channel=channel, kind=kind, range_uj=RANGE_UJ, peak_w=500.0, counts_in=frozenset(scopes), reason=reason
    )


PACKAGE = domain("package-0", "package", "package", "package+dram")
DRAM = domain("package-0/dram", "dram", "package+dram")
CORE = domain("package-0/core", "core")
PSYS = domain("psys", "psys")
WINDOW = Phase(name="window", start_ns=0, end_ns=2 * SECOND)


def steady(watts: float, start_uj: int = 0, seconds: int = 3) -> list[float]:
    """Return a counter's readings at constant power, one a second."""
    return [(start_uj + round(i * watts * 1e6)) % RANGE_UJ for i in range(seconds + 1)]


def every_second(**values: list[float]) -> CounterSeries:
    """Return the readings of several counters, one a second."""
    longest = max((len(of) for of in values.values()), default=0)
    return CounterSeries(t_ns=[i * SECOND for i in range(longest)], values=values)


def joules(energies: tuple[Energy, ...], phase: str = "window") -> dict[str, float | None]:
    """Return the joules by domain."""
    return {e.domain: e.joules for e in energies if e.phase == phase}


def reasons(energies: tuple[Energy, ...]) -> dict[str, str | None]:
    """Return the reasons by domain."""
    return {e.domain: e.reason for e in energies}


def measured(
    values: dict[str, list[float]], *domains: Domain, phase: Phase = WINDOW, asleep: bool = False
) -> tuple[Energy, ...]:
    """Return the energies of one phase; the readings are one a second."""
    return counted(every_second(**values), *domains, phases=[phase], asleep=[phase.name] if asleep else [])


def counted(
    series: CounterSeries, *domains: Domain, phases: list[Phase], asleep: list[str] | None = None
) -> tuple[Energy, ...]:
    """Return the energies of several phases."""
    return phase_energies(series, domains, phases, source="powercap", provenance="measured", asleep=asleep or [])


def test_a_parent_domain_is_never_added_to_its_children() -> None:
    """The totals contain package and DRAM; core and psys have rows of their own."""
    series = {
        "package-0": steady(40),
        "package-0/dram": steady(5),
        "package-0/core": steady(30),
        "psys": steady(70),
    }
    assert joules(measured(series, PACKAGE, DRAM, CORE, PSYS)) == {
        "package-0": 80.0,
        "package-0/dram": 10.0,
        "package-0/core": 60.0,
        "psys": 140.0,
        "package+dram": 90.0,
        "package": 80.0,
    }


def test_a_wrap_inside_the_window_gives_the_true_sum() -> None:
    """A counter that restarts within the window loses nothing."""
    assert joules(measured({"package-0": steady(40, RANGE_UJ - 30_000_000)}, PACKAGE))["package-0"] == 80.0


def test_each_phase_has_the_energy_between_its_own_marks() -> None:
    """Readings outside a phase do not count in it."""
    phases = [
        Phase(name="baseline", start_ns=0, end_ns=SECOND),
        Phase(name="load", start_ns=SECOND, end_ns=3 * SECOND),
    ]
    series = {"package-0": steady(10)}
    energies = counted(every_second(**series), PACKAGE, phases=phases)
    assert joules(energies, "baseline")["package"] == 10.0
    assert joules(energies, "load")["package"] == 20.0


def test_an_unknown_part_makes_the_total_unknown_and_is_named() -> None:
    """A total is never the sum of the readable parts alone."""
    broken = [nan, 5.0, nan, 5.0]
    energies = measured({"package-0": steady(40), "package-0/dram": broken}, PACKAGE, DRAM)
    assert joules(energies) == {"package-0": 80.0, "package-0/dram": None, "package+dram": None, "package": 80.0}
    assert str(reasons(energies)["package+dram"]).startswith("package-0/dram: ")


def test_a_window_under_100_ms_has_no_energy() -> None:
    """The counter is refreshed about every millisecond, without a timestamp."""
    short = Phase(name="window", start_ns=0, end_ns=99_999_999)
    series = CounterSeries(t_ns=[0, 99_999_999], values={"package-0": [0, 4_000_000]})
    energies = counted(series, PACKAGE, phases=[short])
    assert joules(energies)["package"] is None
    assert "too short" in str(reasons(energies)["package"])


def test_a_trial_through_a_suspend_has_no_energy() -> None:
    """The energy during the suspend is unknown."""
    energies = measured({"package-0": steady(40)}, PACKAGE, asleep=True)
    assert reasons(energies) == dict.fromkeys(
        ("package-0", "package+dram", "package"), "the machine was suspended during the phase window"
    )


def test_a_phase_whose_mark_was_not_read_has_no_energy() -> None:
    """An energy is a difference of two reads at the marks, never an interpolation."""
    late = Phase(name="window", start_ns=5, end_ns=2 * SECOND)
    assert "edge" in str(reasons(measured({"package-0": steady(40)}, PACKAGE, phase=late))["package"])


def test_a_counter_that_stands_still_is_broken_and_not_zero() -> None:
    """Whatever runs draws power; only a graphics unit that is off draws none."""
    uncore = domain("package-0/uncore", "uncore")
    energies = measured({"package-0": steady(0, 77), "package-0/uncore": steady(0, 77)}, PACKAGE, uncore)
    assert joules(energies) == {"package-0": None, "package-0/uncore": 0.0, "package+dram": None, "package": None}
    assert "did not move" in str(reasons(energies)["package-0"])


def test_a_reset_that_looks_like_a_wrap_in_one_counter_is_detected_by_another() -> None:
    """All counters are reset together: one in mid-range shows that the one near its range did not wrap."""
    near = [RANGE_UJ - 40e6, RANGE_UJ - 10e6, 5e6, 35e6]
    middle = [90e9, 90e9 + 5e6, 1e6, 6e6]
    energies = measured({"package-0": near, "package-0/dram": middle}, PACKAGE, DRAM)
    assert set(joules(energies).values()) == {None}
    alone = measured({"package-0": near, "package-0/dram": steady(5)}, PACKAGE, DRAM)
    assert joules(alone)["package-0"] == pytest.approx(45, abs=0.001)


def test_a_counter_of_unknown_range_can_show_a_reset_too() -> None:
    """It stepped back at the same moment, so the other one's wrap may be a reset of both."""
    unbounded = replace(PACKAGE, range_uj=None)
    other = domain("package-1", "package", "package", "package+dram")
    near = [RANGE_UJ - 40e6, RANGE_UJ - 10e6, 5e6, 35e6]
    energies = measured({"package-0": [90e9, 90.01e9, 1e6, 6e6], "package-1": near}, unbounded, other)
    assert set(joules(energies).values()) == {None}


def test_a_platform_counter_that_is_reset_alone_changes_no_other_energy() -> None:
    """The platform counter jumps on some machines; only counters that stepped back at the same moment are doubted."""
    leaping = [90e9, 0.0, 60e9, 0.0]
    assert joules(measured({"package-0": steady(40), "psys": leaping}, PACKAGE, PSYS))["package-0"] == 80.0
    wrapping = steady(40, RANGE_UJ - 30_000_000)
    assert joules(measured({"package-0": wrapping, "psys": leaping}, PACKAGE, PSYS))["package-0"] is None


def test_more_than_500_w_is_believed_where_the_readings_show_it() -> None:
    """Twice the observed power is taken for possible; otherwise a true 700 W would count as a reset."""
    ten_a_second = CounterSeries(
        t_ns=[i * SECOND // 10 for i in range(31)], values={"package-0": [i * 70e6 for i in range(31)]}
    )
    seen = counted(ten_a_second, PACKAGE, phases=[Phase(name="window", start_ns=0, end_ns=3 * SECOND)])
    assert joules(seen)["package-0"] == pytest.approx(2100)
    assert joules(measured({"package-0": steady(700)}, PACKAGE))["package-0"] is None


def test_energy_of_another_root_is_simulated() -> None:
    """Only counters of the running kernel give measured energies."""
    energies = phase_energies(
        every_second(**{"package-0": steady(40)}), [PACKAGE], [WINDOW], source="powercap", provenance="simulated"
    )
    assert {e.provenance for e in energies} == {"simulated"}
    assert choose_scope(energies).provenance == "simulated"


def test_a_counter_that_was_never_read_is_unknown() -> None:
    """A domain without readings is null with a reason, never 0."""
    energies = measured({}, PACKAGE)
    assert joules(energies)["package"] is None
    assert reasons(energies)["package"] == "the counter was not read"


def test_a_counter_that_may_not_be_read_says_so() -> None:
    """The row has the sensor's own reason."""
    refused = domain("package-0", "package", "package", reason="the counter is there, but this user may not read it")
    assert reasons(measured({}, refused))["package"] == "the counter is there, but this user may not read it"


def test_a_machine_without_dram_has_no_total_with_it() -> None:
    """A scope exists only where its domains do."""
    only = domain("package-0", "package", "package")
    assert set(joules(measured({"package-0": steady(40)}, only))) == {"package-0", "package"}


def test_the_primary_scope_is_the_fullest_that_exists() -> None:
    """package+dram where there is DRAM, else package."""
    series = {"package-0": steady(40), "package-0/dram": steady(5)}
    assert choose_scope(measured(series, PACKAGE, DRAM)) == PrimaryEnergy(
        scope="package+dram", source="powercap", provenance="measured", joules=90.0, reason=None
    )
    assert choose_scope(measured(series, domain("package-0", "package", "package"))).scope == "package"


def test_the_primary_scope_does_not_shrink_when_a_part_fails() -> None:
    """A failed DRAM read gives null, not the packages alone under another name."""
    chosen = choose_scope(measured({"package-0": steady(40)}, PACKAGE, DRAM))
    assert (chosen.scope, chosen.joules) == ("package+dram", None)
    assert chosen.reason == "package-0/dram: the counter was not read"


@pytest.mark.parametrize("energies", [(), measured({"psys": steady(70)}, PSYS)])
def test_without_a_package_there_is_no_primary_energy(energies: tuple[Energy, ...]) -> None:
    """Neither the platform's counter nor modelled joules replace the packages' energy."""
    modelled = Energy(phase="window", domain="package", source="modelled", provenance="modelled", joules=5.0)
    assert choose_scope((*energies, modelled)).scope is None
    assert choose_scope((*energies, modelled)).reason is not None


@given(st.integers(1, 9), st.integers(0, RANGE_UJ - 1), st.floats(1, 400))
def test_splitting_a_phase_conserves_energy(cut: int, start_uj: int, watts: float) -> None:
    """Two adjacent phases together have the energy of the whole."""
    phases = [
        Phase(name="baseline", start_ns=0, end_ns=cut * SECOND),
        Phase(name="load", start_ns=cut * SECOND, end_ns=10 * SECOND),
        Phase(name="window", start_ns=0, end_ns=10 * SECOND),
    ]
    series = {"package-0": steady(watts, start_uj, seconds=10)}
    energies = counted(every_second(**series), PACKAGE, phases=phases)
    microjoules = {e.phase: round((e.joules or 0.0) * 1e6) for e in energies if e.domain == "package-0"}
    assert all(e.joules is not None for e in energies)
    assert microjoules["baseline"] + microjoules["load"] == microjoules["window"]
