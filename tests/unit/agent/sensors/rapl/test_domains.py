from pathlib import Path

from agent.sensors.rapl.domains import Domain, Zone, ZonePowerLimit, domains_of, longest_window_s, total_scope

LONG_TERM = ZonePowerLimit(name="long_term", watts=205.0, window_s=0.999424)
SHORT_TERM = ZonePowerLimit(name="short_term", watts=246.0, window_s=0.001952)
PEAK_POWER = ZonePowerLimit(name="peak_power", watts=614.0, window_s=None)


def zone(folder: str, name: str | None, *limits: ZonePowerLimit) -> Zone:
    """A zone as it is found, of which folder, name and limits matter here."""
    return Zone(zone=folder, path=Path("/nowhere"), name=name, range_uj=262_143_328_850, limits=limits)


def domains(*zones: Zone, mirrored: tuple[str, ...] = ()) -> dict[str, Domain]:
    """The domains of `zones` by channel."""
    return {domain.channel: domain for domain, _ in domains_of(zones, mirrored=mirrored)}


DIES = (
    zone("intel-rapl:0", "package-0-die-0"),
    zone("intel-rapl:1", "package-0-die-1"),
    zone("intel-rapl:2", "package-1-die-0"),
    zone("intel-rapl:3", "package-1-die-1"),
)


def zone_of_die(die: int) -> Zone:
    """A die of package 0."""
    return zone(f"intel-rapl:{die}", f"package-0-die-{die}")


def zone_of_dram(die: int) -> Zone:
    """The memory inside its folder."""
    return zone(f"intel-rapl:{die}:0", "dram")


def test_dies_with_counters_of_their_own_add_up() -> None:
    """As those of Cascade Lake-AP."""
    assert all("package" in d.counts_in for d in domains(*DIES).values())


def test_dies_that_mirror_one_counter_count_once() -> None:
    """The lowest die of each package stands for it; the others keep rows of their own."""
    found = domains(*DIES, mirrored=("0", "1"))
    assert {d.channel for d in found.values() if "package" in d.counts_in} == {"package-0-die-0", "package-1-die-0"}
    assert len(found) == 4


def test_one_package_may_mirror_while_another_does_not() -> None:
    """What is known of one package says nothing of the next."""
    found = domains(*DIES, mirrored=("1",))
    assert {d.channel for d in found.values() if "package" in d.counts_in} == {
        "package-0-die-0",
        "package-0-die-1",
        "package-1-die-0",
    }


def test_the_memory_beside_a_mirrored_die_is_in_no_total() -> None:
    """Where the dies repeat their package, the zones inside them repeat its memory."""
    zones = [one for n in range(2) for one in (zone_of_die(n), zone_of_dram(n))]
    scopes = {d.channel: sorted(d.counts_in) for d in domains(*zones, mirrored=("0",)).values()}
    assert scopes == {
        "package-0-die-0": ["package", "package+dram"],
        "package-0-die-0/dram": ["package+dram"],
        "package-0-die-1": [],
        "package-0-die-1/dram": [],
    }


def test_the_peak_is_the_largest_limit_and_at_least_500_w() -> None:
    """A small limit hides no wrap; a large one, for a moment, is what a domain may draw."""
    found = domains(
        zone("intel-rapl:0", "package-0", LONG_TERM, SHORT_TERM),
        zone("intel-rapl:1", "package-1", LONG_TERM, PEAK_POWER),
        zone("intel-rapl:2", "package-2"),
    )
    assert [d.peak_w for d in found.values()] == [500.0, 614.0, 500.0]


def test_the_limits_of_a_repeated_zone_hold_as_well() -> None:
    """The mmio zone's energy is dropped, its limits are not; an equal limit is named once."""
    found = domains(
        zone("intel-rapl:0", "package-0", LONG_TERM, SHORT_TERM),
        zone("intel-rapl-mmio:0", "package-0", LONG_TERM, PEAK_POWER),
    )
    assert found["package-0"].limits == (LONG_TERM, SHORT_TERM, PEAK_POWER)
    assert found["package-0"].peak_w == 614.0


def test_the_longest_window_is_that_of_any_limit() -> None:
    """A limit without a window has none to give."""
    found = domains(zone("intel-rapl:0", "package-0", SHORT_TERM, PEAK_POWER), zone("intel-rapl:1", "psys", LONG_TERM))
    assert longest_window_s(found.values()) == 0.999424
    assert longest_window_s([found["package-0"]]) == 0.001952
    assert longest_window_s([]) is None


def test_dram_of_only_some_packages_is_in_no_total() -> None:
    """package+dram would otherwise mean two things on one machine."""
    found = domains(
        zone("intel-rapl:0", "package-0"), zone("intel-rapl:0:0", "dram"), zone("intel-rapl:1", "package-1")
    )
    assert total_scope(tuple(found.values())) == "package"
    assert found["package-0/dram"].counts_in == frozenset()


def test_the_zone_of_another_control_type_stands_in_where_it_is_alone() -> None:
    """A package known by its mmio zone alone is measured by it."""
    assert domains(zone("intel-rapl-mmio:0", "package-0"))["package-0"].counts_in == {"package"}


def test_the_mmio_zone_gives_way_whatever_the_order() -> None:
    """The repetition is dropped by name, though its folder sorts first."""
    for zones in (
        [zone("intel-rapl-mmio:0", "package-0"), zone("intel-rapl:0", "package-0")],
        [zone("intel-rapl:0", "package-0"), zone("intel-rapl-mmio:0", "package-0")],
    ):
        ((_, kept),) = domains_of(zones, mirrored=())
        assert kept.zone == "intel-rapl:0"


def test_an_unnamed_zone_of_another_control_type_spoils_no_total() -> None:
    """Whatever it is, the registers' zones are whole without it."""
    found = domains(zone("intel-rapl:0", "package-0"), zone("intel-rapl-mmio:0", None))
    assert {c: set(d.counts_in) for c, d in found.items()} == {"package-0": {"package"}, "intel-rapl-mmio:0": set()}


def test_an_unnamed_zone_of_the_registers_or_of_what_is_alone_is_part_of_the_total() -> None:
    """It may be a package, and then the sum of the others is too small."""
    assert domains(zone("intel-rapl:0", None), zone("intel-rapl-mmio:0", "package-0"))["intel-rapl:0"].counts_in
    assert domains(zone("intel-rapl-mmio:0", None))["intel-rapl-mmio:0"].counts_in


def test_a_package_of_another_control_type_is_not_added_to_its_own_dies() -> None:
    """The mmio zone names the package and not its dies: it repeats them under another name."""
    found = domains(zone_of_die(0), zone_of_die(1), zone("intel-rapl-mmio:0", "package-0", LONG_TERM))
    assert {c for c, d in found.items() if d.counts_in} == {"package-0-die-0", "package-0-die-1"}
    assert found["package-0"].limits == (LONG_TERM,)


def test_memory_of_another_control_type_makes_no_total_with_the_registers_packages() -> None:
    """Nor does it stand in for memory that the registers have for one package alone."""
    found = domains(
        zone("intel-rapl:0", "package-0"),
        zone("intel-rapl-mmio:0", "package-0"),
        zone("intel-rapl-mmio:0:0", "dram"),
    )
    assert total_scope(tuple(found.values())) == "package"
    assert found["package-0/dram"].counts_in == frozenset()


def test_tpmi_alone_makes_a_total_with_its_memory() -> None:
    """Machines without the driver of the registers have nothing else."""
    found = domains(zone("intel-rapl-tpmi:0", "package-0"), zone("intel-rapl-tpmi:0:0", "dram"))
    assert total_scope(tuple(found.values())) == "package+dram"
    assert all("package+dram" in d.counts_in for d in found.values())


def test_packages_stand_in_the_order_of_their_numbers() -> None:
    """package-10 comes after package-2."""
    zones = [zone(f"intel-rapl:{i}", f"package-{10 - i}") for i in range(11)]
    assert list(domains(*zones)) == [f"package-{i}" for i in range(11)]


def test_a_dram_domain_outside_a_package_is_in_no_total() -> None:
    """An outermost zone that is no package and no psys is kept as it is."""
    found = domains(zone("intel-rapl:0", "dram"), zone("intel-rapl:1", "psys-1"))
    assert {d.channel: d.kind for d in found.values()} == {"dram": "other", "psys-1": "psys"}
    assert total_scope(tuple(found.values())) is None
