from pathlib import Path

from agent.sensors.rapl.domains import Domain, Zone, ZonePowerLimit, domains_of, longest_window_s, total_scope

LONG_TERM = ZonePowerLimit(name="long_term", watts=205.0, window_s=0.999424)
SHORT_TERM = ZonePowerLimit(name="short_term", watts=246.0, window_s=0.001952)
PEAK_POWER = ZonePowerLimit(name="peak_power", watts=614.0, window_s=None)


def zone(folder: str, name: str | None, *limits: ZonePowerLimit) -> Zone:
    """Return a zone with this folder, name and limits."""
    return Zone(zone=folder, path=Path("/nowhere"), name=name, range_uj=262_143_328_850, limits=limits)


def domains(*zones: Zone, mirrored: tuple[str, ...] = ()) -> dict[str, Domain]:
    """Return the domains of `zones` by channel."""
    return {domain.channel: domain for domain, _ in domains_of(zones, mirrored=mirrored)}


DIES = (
    zone("intel-rapl:0", "package-0-die-0"),
    zone("intel-rapl:1", "package-0-die-1"),
    zone("intel-rapl:2", "package-1-die-0"),
    zone("intel-rapl:3", "package-1-die-1"),
)


def zone_of_die(die: int) -> Zone:
    """Return the zone of a die of package 0."""
    return zone(f"intel-rapl:{die}", f"package-0-die-{die}")


def zone_of_dram(die: int) -> Zone:
    """Return the zone of the memory in the folder of that die."""
    return zone(f"intel-rapl:{die}:0", "dram")


def test_dies_with_counters_of_their_own_add_up() -> None:
    """Cascade Lake-AP has such dies."""
    assert all("package" in d.counts_in for d in domains(*DIES).values())


def test_dies_that_mirror_one_counter_count_once() -> None:
    """The lowest die of each package is added; the others keep channels of their own."""
    by_channel = domains(*DIES, mirrored=("0", "1"))
    assert {d.channel for d in by_channel.values() if "package" in d.counts_in} == {
        "package-0-die-0",
        "package-1-die-0",
    }
    assert len(by_channel) == 4


def test_one_package_may_mirror_while_another_does_not() -> None:
    """Each package is judged alone."""
    by_channel = domains(*DIES, mirrored=("1",))
    assert {d.channel for d in by_channel.values() if "package" in d.counts_in} == {
        "package-0-die-0",
        "package-0-die-1",
        "package-1-die-0",
    }


def test_the_memory_of_a_mirrored_die_is_in_no_total() -> None:
    """Where the dies show their package's counter, the zones inside them show the counter of its memory."""
    zones = [one for n in range(2) for one in (zone_of_die(n), zone_of_dram(n))]
    scopes = {d.channel: sorted(d.counts_in) for d in domains(*zones, mirrored=("0",)).values()}
    assert scopes == {
        "package-0-die-0": ["package", "package+dram"],
        "package-0-die-0/dram": ["package+dram"],
        "package-0-die-1": [],
        "package-0-die-1/dram": [],
    }


def test_the_peak_is_the_largest_limit_and_at_least_500_w() -> None:
    """A small limit must not turn a wrap into a reset; a large one may be drawn for a moment."""
    by_channel = domains(
        zone("intel-rapl:0", "package-0", LONG_TERM, SHORT_TERM),
        zone("intel-rapl:1", "package-1", LONG_TERM, PEAK_POWER),
        zone("intel-rapl:2", "package-2"),
    )
    assert [d.peak_w for d in by_channel.values()] == [500.0, 614.0, 500.0]


def test_the_limits_of_a_repeated_zone_hold_as_well() -> None:
    """The energy of the mmio zone is dropped, its limits are not; equal limits appear once."""
    by_channel = domains(
        zone("intel-rapl:0", "package-0", LONG_TERM, SHORT_TERM),
        zone("intel-rapl-mmio:0", "package-0", LONG_TERM, PEAK_POWER),
    )
    assert by_channel["package-0"].limits == (LONG_TERM, SHORT_TERM, PEAK_POWER)
    assert by_channel["package-0"].peak_w == 614.0


def test_the_longest_window_is_that_of_any_limit() -> None:
    """Limits without a window do not count."""
    by_channel = domains(
        zone("intel-rapl:0", "package-0", SHORT_TERM, PEAK_POWER), zone("intel-rapl:1", "psys", LONG_TERM)
    )
    assert longest_window_s(by_channel.values()) == 0.999424
    assert longest_window_s([by_channel["package-0"]]) == 0.001952
    assert longest_window_s([]) is None


def test_dram_of_only_some_packages_is_in_no_total() -> None:
    """Otherwise package+dram would mean two things on one machine."""
    by_channel = domains(
        zone("intel-rapl:0", "package-0"), zone("intel-rapl:0:0", "dram"), zone("intel-rapl:1", "package-1")
    )
    assert total_scope(tuple(by_channel.values())) == "package"
    assert by_channel["package-0/dram"].counts_in == frozenset()


def test_a_zone_of_another_control_type_counts_where_it_is_alone() -> None:
    """A package that only has an mmio zone is measured by it."""
    assert domains(zone("intel-rapl-mmio:0", "package-0"))["package-0"].counts_in == {"package"}


def test_the_mmio_zone_is_dropped_whatever_the_order() -> None:
    """It is recognised by its name, though its folder sorts first."""
    for zones in (
        [zone("intel-rapl-mmio:0", "package-0"), zone("intel-rapl:0", "package-0")],
        [zone("intel-rapl:0", "package-0"), zone("intel-rapl-mmio:0", "package-0")],
    ):
        ((_, kept),) = domains_of(zones, mirrored=())
        assert kept.zone == "intel-rapl:0"


def test_an_unnamed_zone_of_another_control_type_is_in_no_total() -> None:
    """The zones of the registers are complete without it."""
    by_channel = domains(zone("intel-rapl:0", "package-0"), zone("intel-rapl-mmio:0", None))
    assert {c: set(d.counts_in) for c, d in by_channel.items()} == {
        "package-0": {"package"},
        "intel-rapl-mmio:0": set(),
    }


def test_an_unnamed_zone_of_the_registers_or_of_what_is_alone_is_part_of_the_total() -> None:
    """It may be a package, and then the sum of the others is too small."""
    assert domains(zone("intel-rapl:0", None), zone("intel-rapl-mmio:0", "package-0"))["intel-rapl:0"].counts_in
    assert domains(zone("intel-rapl-mmio:0", None))["intel-rapl-mmio:0"].counts_in


def test_a_package_of_another_control_type_is_not_added_to_its_own_dies() -> None:
    """The mmio zone has the package's name, and counts the same energy as its dies."""
    by_channel = domains(zone_of_die(0), zone_of_die(1), zone("intel-rapl-mmio:0", "package-0", LONG_TERM))
    assert {c for c, d in by_channel.items() if d.counts_in} == {"package-0-die-0", "package-0-die-1"}
    assert by_channel["package-0"].limits == (LONG_TERM,)


def test_memory_of_another_control_type_makes_no_total_with_the_registers_packages() -> None:
    """Nor does it replace memory that the registers have for only one package."""
    by_channel = domains(
        zone("intel-rapl:0", "package-0"),
        zone("intel-rapl-mmio:0", "package-0"),
        zone("intel-rapl-mmio:0:0", "dram"),
    )
    assert total_scope(tuple(by_channel.values())) == "package"
    assert by_channel["package-0/dram"].counts_in == frozenset()


def test_tpmi_alone_makes_a_total_with_its_memory() -> None:
    """Machines without the driver of the registers have no other zones."""
    by_channel = domains(zone("intel-rapl-tpmi:0", "package-0"), zone("intel-rapl-tpmi:0:0", "dram"))
    assert total_scope(tuple(by_channel.values())) == "package+dram"
    assert all("package+dram" in d.counts_in for d in by_channel.values())


def test_packages_stand_in_the_order_of_their_numbers() -> None:
    """package-10 comes after package-2."""
    zones = [zone(f"intel-rapl:{i}", f"package-{10 - i}") for i in range(11)]
    assert list(domains(*zones)) == [f"package-{i}" for i in range(11)]


def test_a_dram_domain_outside_a_package_is_in_no_total() -> None:
    """An outermost zone that is neither package nor psys keeps its name."""
    by_channel = domains(zone("intel-rapl:0", "dram"), zone("intel-rapl:1", "psys-1"))
    assert {d.channel: d.kind for d in by_channel.values()} == {"dram": "other", "psys-1": "psys"}
    assert total_scope(tuple(by_channel.values())) is None
