from pathlib import Path

import pytest

from agent.sensors.rapl.dies import mirrored_packages, one_counter_by_vendor, show_one_counter
from agent.sensors.rapl.domains import Zone
from tests.support.machines import unpacked

AMD, INTEL = unpacked("amd-single") / "sys", unpacked("cascade-lake-ap") / "sys"
UNKNOWN = Path("/nowhere")
RANGE_UJ = 65_532_610_987


def die(folder: Path, number: int, energy: str, *, package: int = 0, range_uj: int | None = RANGE_UJ) -> Zone:
    """A die whose counter holds `energy`."""
    path = folder / f"intel-rapl:{number}"
    path.mkdir()
    (path / "energy_uj").write_text(energy)
    return Zone(zone=path.name, path=path, name=f"package-{package}-die-{number}", range_uj=range_uj, limits=())


def mirrored(folder: Path, *energies: str, root: Path = AMD, range_uj: int | None = RANGE_UJ) -> bool:
    """Whether dies with these counters repeat one."""
    dies = [die(folder, number, energy, range_uj=range_uj) for number, energy in enumerate(energies)]
    return mirrored_packages(dies, root) == {"0"}


def test_dies_of_amd_that_agree_repeat_one_counter(tmp_path: Path) -> None:
    """A joule is what 2 ms at 500 W can be, by which two reads of one counter may differ."""
    assert mirrored(tmp_path, "5000000000\n", "5001000000\n", "4999000000\n", "5000000015\n")


@pytest.mark.parametrize("other", ["5000000000\n", "5000500000\n", ""])
def test_dies_of_intel_never_repeat_one_another(tmp_path: Path, other: str) -> None:
    """That two counters stand less than a joule apart is chance there; half of the energy would be lost."""
    assert not mirrored(tmp_path, "5000000000\n", other, root=INTEL)


@pytest.mark.parametrize(
    ("other", "repeated"), [("5000000000\n", True), ("5000000015\n", False), ("7000000000\n", False), ("", False)]
)
def test_dies_of_an_unknown_vendor_repeat_only_what_is_equal_to_the_count(
    tmp_path: Path, other: str, *, repeated: bool
) -> None:
    """Within a joule two counters come by chance, to the same count hardly ever."""
    assert mirrored(tmp_path, "5000000000\n", other, root=UNKNOWN) == repeated


def test_dies_that_disagree_have_counters_of_their_own_even_on_amd(tmp_path: Path) -> None:
    """That counters differ is firmer than the vendor's name."""
    assert not mirrored(tmp_path, "5000000000\n", "5001000100\n")


def test_one_die_that_disagrees_is_enough(tmp_path: Path) -> None:
    """Then at least two counters stand behind them, and none may be left out."""
    assert not mirrored(tmp_path, "5000000000\n", "5000000000\n", "7000000000\n")


@pytest.mark.parametrize(("range_uj", "agree"), [(RANGE_UJ, True), (None, False)])
def test_a_counter_that_wraps_between_two_dies_is_still_one(
    tmp_path: Path, range_uj: int | None, *, agree: bool
) -> None:
    """The range closes the circle; without it the dies are taken as they read."""
    assert mirrored(tmp_path, f"{RANGE_UJ - 100}\n", "200\n", range_uj=range_uj) == agree


@pytest.mark.parametrize(("root", "repeated"), [(AMD, True), (INTEL, False), (UNKNOWN, False)])
@pytest.mark.parametrize("energy", ["", "letters\n", "-5\n"])
def test_the_vendor_decides_where_a_die_cannot_be_read(
    tmp_path: Path, energy: str, root: Path, *, repeated: bool
) -> None:
    """AMD's dies repeat their package's counter, Intel's do not."""
    assert mirrored(tmp_path, "5000000000\n", energy, root=root) == repeated


def test_each_package_is_judged_alone(tmp_path: Path) -> None:
    """Equal counters of two packages are chance, and are not even compared."""
    zones = [
        die(tmp_path, 0, "5000000000\n", package=0),
        die(tmp_path, 1, "5000000000\n", package=0),
        die(tmp_path, 2, "5000000000\n", package=1),
        die(tmp_path, 3, "6000000000\n", package=1),
    ]
    assert mirrored_packages(zones, AMD) == {"0"}
    assert mirrored_packages(zones, UNKNOWN) == {"0"}


def test_a_second_control_type_is_not_taken_for_a_die(tmp_path: Path) -> None:
    """intel-rapl-mmio repeats a package, which says nothing about its dies."""
    zones = [die(tmp_path, 0, "5000000000\n"), die(tmp_path, 1, "9000000000\n")]
    mmio = Zone(zone="intel-rapl-mmio:0", path=zones[0].path, name="package-0-die-0", range_uj=RANGE_UJ, limits=())
    assert mirrored_packages([*zones, mmio], UNKNOWN) == frozenset()
    assert mirrored_packages([zones[0], mmio], UNKNOWN) == frozenset()


def test_a_package_of_one_die_repeats_nothing(tmp_path: Path) -> None:
    """There is no other die to compare it with."""
    assert not mirrored(tmp_path, "5000000000\n")


def test_the_vendor_is_read_from_the_cpus_alias(tmp_path: Path) -> None:
    """AMD is 2, Hygon 9, Intel 0; of others, and without the file, nothing is known."""
    alias = tmp_path / "devices/system/cpu/modalias"
    alias.parent.mkdir(parents=True)
    assert one_counter_by_vendor(AMD) is True
    assert one_counter_by_vendor(INTEL) is False
    assert one_counter_by_vendor(tmp_path) is None
    for number, repeats in (("0009", True), ("0005", None), ("000A", None), ("letters", None)):
        alias.write_text(f"cpu:type:x86,ven{number}fam0017mod0001:feature:,0000\n")
        assert one_counter_by_vendor(tmp_path) is repeats


def test_a_pause_between_the_reads_does_not_make_two_counters_of_one() -> None:
    """Held up for 12 ms at 500 W after the first die, then again: the values still stand in one order."""
    joule = 1_000_000
    assert show_one_counter([0, 6 * joule], [6 * joule, 12 * joule], range_uj=RANGE_UJ)
    assert show_one_counter([RANGE_UJ - joule, 5 * joule], [5 * joule, 11 * joule], range_uj=RANGE_UJ)


def test_two_counters_that_advance_alike_are_told_apart() -> None:
    """Equal power is not equal energy: they stand 2 J apart before and after."""
    joule = 1_000_000
    assert not show_one_counter([0, 2 * joule], [1000, 2 * joule + 1000], range_uj=RANGE_UJ)
    assert not show_one_counter([2 * joule, 0], [2 * joule + 1000, 1000], range_uj=RANGE_UJ)
