from pathlib import Path

import pytest

from agent.sensors.rapl.dies import mirrored_packages, one_counter_by_vendor, show_one_counter
from agent.sensors.rapl.domains import Zone
from tests.support.machines import unpacked

AMD, INTEL = unpacked("amd-single") / "sys", unpacked("cascade-lake-ap") / "sys"
UNKNOWN = Path("/nowhere")
RANGE_UJ = 65_532_610_987


def die(folder: Path, number: int, energy: str, *, package: int = 0, range_uj: int | None = RANGE_UJ) -> Zone:
    """Return the zone of a die whose counter holds `energy`."""
    path = folder / f"intel-rapl:{number}"
    path.mkdir()
    (path / "energy_uj").write_text(energy)
    return Zone(zone=path.name, path=path, name=f"package-{package}-die-{number}", range_uj=range_uj, limits=())


def mirrored(folder: Path, *energies: str, root: Path = AMD, range_uj: int | None = RANGE_UJ) -> bool:
    """Return whether dies with these counters are taken for one counter."""
    dies = [die(folder, number, energy, range_uj=range_uj) for number, energy in enumerate(energies)]
    return mirrored_packages(dies, root) == {"0"}


def test_dies_of_amd_that_agree_show_one_counter(tmp_path: Path) -> None:
    """Two reads of one counter differ by 1 J at most: 2 ms at 500 W."""
    assert mirrored(tmp_path, "5000000000\n", "5001000000\n", "4999000000\n", "5000000015\n")


@pytest.mark.parametrize("other", ["5000000000\n", "5000500000\n", ""])
def test_dies_of_intel_have_counters_of_their_own(tmp_path: Path, other: str) -> None:
    """Two counters less than a joule apart are chance there; taken for one, half of the energy would be lost."""
    assert not mirrored(tmp_path, "5000000000\n", other, root=INTEL)


@pytest.mark.parametrize(
    ("other", "repeated"), [("5000000000\n", True), ("5000000015\n", False), ("7000000000\n", False), ("", False)]
)
def test_dies_of_an_unknown_vendor_show_one_counter_only_if_equal_to_the_count(
    tmp_path: Path, other: str, *, repeated: bool
) -> None:
    """By chance two counters may lie within a joule, but hardly ever have the same count."""
    assert mirrored(tmp_path, "5000000000\n", other, root=UNKNOWN) == repeated


def test_dies_that_disagree_have_counters_of_their_own_even_on_amd(tmp_path: Path) -> None:
    """Different values prove more than the vendor's name."""
    assert not mirrored(tmp_path, "5000000000\n", "5001000100\n")


def test_one_die_that_disagrees_is_enough(tmp_path: Path) -> None:
    """Then there are at least two counters, and none may be left out."""
    assert not mirrored(tmp_path, "5000000000\n", "5000000000\n", "7000000000\n")


@pytest.mark.parametrize(("range_uj", "agree"), [(RANGE_UJ, True), (None, False)])
def test_a_counter_that_wraps_between_two_dies_is_still_one(
    tmp_path: Path, range_uj: int | None, *, agree: bool
) -> None:
    """Only with a known range can a wrap be recognised."""
    assert mirrored(tmp_path, f"{RANGE_UJ - 100}\n", "200\n", range_uj=range_uj) == agree


@pytest.mark.parametrize(("root", "repeated"), [(AMD, True), (INTEL, False), (UNKNOWN, False)])
@pytest.mark.parametrize("energy", ["", "letters\n", "-5\n"])
def test_the_vendor_decides_where_a_die_cannot_be_read(
    tmp_path: Path, energy: str, root: Path, *, repeated: bool
) -> None:
    """Dies of AMD show their package's counter, dies of Intel do not."""
    assert mirrored(tmp_path, "5000000000\n", energy, root=root) == repeated


def test_each_package_is_judged_alone(tmp_path: Path) -> None:
    """Equal counters of two packages are chance."""
    zones = [
        die(tmp_path, 0, "5000000000\n", package=0),
        die(tmp_path, 1, "5000000000\n", package=0),
        die(tmp_path, 2, "5000000000\n", package=1),
        die(tmp_path, 3, "6000000000\n", package=1),
    ]
    assert mirrored_packages(zones, AMD) == {"0"}
    assert mirrored_packages(zones, UNKNOWN) == {"0"}


def test_a_second_control_type_is_not_taken_for_a_die(tmp_path: Path) -> None:
    """intel-rapl-mmio repeats a package, and proves nothing about its dies."""
    zones = [die(tmp_path, 0, "5000000000\n"), die(tmp_path, 1, "9000000000\n")]
    mmio = Zone(zone="intel-rapl-mmio:0", path=zones[0].path, name="package-0-die-0", range_uj=RANGE_UJ, limits=())
    assert mirrored_packages([*zones, mmio], UNKNOWN) == frozenset()
    assert mirrored_packages([zones[0], mmio], UNKNOWN) == frozenset()


def test_a_package_of_one_die_is_not_compared(tmp_path: Path) -> None:
    """There is no other die."""
    assert not mirrored(tmp_path, "5000000000\n")


def test_the_vendor_is_read_from_the_cpus_alias(tmp_path: Path) -> None:
    """AMD is 2, Hygon 9, Intel 0; any other vendor, and a missing file, are unknown."""
    alias = tmp_path / "devices/system/cpu/modalias"
    alias.parent.mkdir(parents=True)
    assert one_counter_by_vendor(AMD) is True
    assert one_counter_by_vendor(INTEL) is False
    assert one_counter_by_vendor(tmp_path) is None
    for number, repeats in (("0009", True), ("0005", None), ("000A", None), ("letters", None)):
        alias.write_text(f"cpu:type:x86,ven{number}fam0017mod0001:feature:,0000\n")
        assert one_counter_by_vendor(tmp_path) is repeats


def test_a_pause_between_the_reads_does_not_make_two_counters_of_one() -> None:
    """A pause of 12 ms at 500 W after the first die, and another: the values are still in one order."""
    joule = 1_000_000
    assert show_one_counter([0, 6 * joule], [6 * joule, 12 * joule], range_uj=RANGE_UJ)
    assert show_one_counter([RANGE_UJ - joule, 5 * joule], [5 * joule, 11 * joule], range_uj=RANGE_UJ)


def test_two_counters_that_advance_alike_are_two() -> None:
    """At equal power they stay 2 J apart."""
    joule = 1_000_000
    assert not show_one_counter([0, 2 * joule], [1000, 2 * joule + 1000], range_uj=RANGE_UJ)
    assert not show_one_counter([2 * joule, 0], [2 * joule + 1000, 1000], range_uj=RANGE_UJ)
