from pathlib import Path

import pytest

from tests.privileged.conftest import MakeTree, Observe

NESTED = "devices/virtual/powercap/intel-rapl"
MICRO = 1_000_000


def counters(tree: Path) -> list[Path]:
    """Return the counters of all zones, sorted by path."""
    return sorted((tree / NESTED).rglob("energy_uj"))


def advanced(tree: Path, reads: int) -> list[dict[str, str]]:
    """Return what the counters show in further reads, one second apart, each counter at a power of its own."""
    changes: list[dict[str, str]] = [{} for _ in range(reads)]
    for number, counter in enumerate(counters(tree)):
        start = int(counter.read_text())
        limit = (counter.parent / "max_energy_range_uj").read_text().strip()
        range_uj = int(limit) if limit.isdecimal() and int(limit) else 2**62
        for read, change in enumerate(changes, start=1):
            value = (start + read * (10 * MICRO + 1_234_567 * number)) % range_uj
            change[str(counter.relative_to(tree))] = f"{value}\n"
    return changes


@pytest.mark.parametrize(
    ("machine", "sockets", "domains"),
    [
        ("two-packages-with-dram", 2, {"package-0", "package-0/dram", "package-1", "package-1/dram"}),
        ("psys-first", 1, {"package-0"}),
        ("amd-single", 1, {"package-0"}),
        ("mmio-duplicate", 1, {"package-0"}),
        ("wraps", 1, {"package-0", "package-0/dram"}),
    ],
)
def test_both_sources_give_the_same_joules(
    observe: Observe, make_tree: MakeTree, machine: str, sockets: int, domains: set[str]
) -> None:
    """Every domain that pyRAPL reads agrees to the microjoule, and so do the totals."""
    tree = make_tree(machine, sockets=sockets)
    answer = observe(tree, *advanced(tree, reads=5))
    read = {channel for channel, reason in answer.pyrapl.reasons.items() if reason is None}
    assert read == domains
    for channel in read | {"package"}:
        assert answer.pyrapl.joules[channel] == answer.powercap.joules[channel]
        assert (answer.pyrapl.joules[channel] or 0) > 0
    assert [{c: row[c] for c in read} for row in answer.powercap.values] == answer.pyrapl.values


def test_counters_of_a_tree_mounted_over_sys_are_not_those_of_the_running_kernel(
    observe: Observe, make_tree: MakeTree
) -> None:
    """The path is /sys, but neither source takes them for real."""
    answer = observe(make_tree("two-packages-with-dram", sockets=2), {})
    assert not answer.powercap.of_running_kernel
    assert not answer.pyrapl.of_running_kernel


def test_a_wrap_is_repaired_where_plain_pyrapl_is_negative(observe: Observe, make_tree: MakeTree) -> None:
    """package-0 wraps and truly used 42 J; plain pyRAPL reports the range less."""
    tree = make_tree("two-packages-with-dram", sockets=2)
    package = f"{NESTED}/intel-rapl:0"
    range_uj = int((tree / package / "max_energy_range_uj").read_text())
    (tree / package / "energy_uj").write_text(f"{range_uj - MICRO}\n")
    (change,) = advanced(tree, reads=1)
    change[f"{package}/energy_uj"] = f"{41 * MICRO}\n"
    answer = observe(tree, change)
    assert answer.pyrapl.joules["package-0"] == answer.powercap.joules["package-0"] == 42.0
    assert answer.pyrapl.joules == answer.powercap.joules
    assert answer.plain_pkg_j is not None
    assert answer.plain_pkg_j[0] == pytest.approx(42 - range_uj / MICRO)
    assert answer.plain_pkg_j[1] == answer.powercap.joules["package-1"]


def test_a_wrap_of_the_only_package_is_repaired_where_plain_pyrapl_has_nothing(
    observe: Observe, make_tree: MakeTree
) -> None:
    """Where the difference of every socket is negative, plain pyRAPL returns None."""
    tree = make_tree("wraps")
    change = {
        f"{NESTED}/intel-rapl:0/energy_uj": f"{41 * MICRO}\n",
        f"{NESTED}/intel-rapl:0/intel-rapl:0:0/energy_uj": f"{3 * MICRO // 2}\n",
    }
    answer = observe(tree, change)
    expected = {"package-0": 42.0, "package-0/dram": 2.0, "package": 42.0, "package+dram": 44.0}
    assert answer.pyrapl.joules == answer.powercap.joules == expected
    assert (answer.plain_pkg_j, answer.plain_dram_j) == (None, None)


def test_domains_that_pyrapl_does_not_know_have_the_reason(observe: Observe, make_tree: MakeTree) -> None:
    """Core, uncore and psys are not missing from the machine."""
    answer = observe(make_tree("psys-first"), {})
    assert {channel for channel, reason in answer.pyrapl.reasons.items() if reason} == {
        "package-0/core",
        "package-0/uncore",
        "psys",
    }
    assert answer.pyrapl.missing == []


def test_a_counter_that_fails_in_the_window_costs_no_energy(observe: Observe, make_tree: MakeTree) -> None:
    """PyRAPL raises once: that read is None for all its counters, and the energy is complete."""
    tree = make_tree("two-packages-with-dram", sockets=2)
    changes = advanced(tree, reads=3)
    changes[1][f"{NESTED}/intel-rapl:1/energy_uj"] = ""
    answer = observe(tree, *changes)
    assert set(answer.pyrapl.values[2].values()) == {None}
    assert answer.pyrapl.joules == answer.powercap.joules


def test_nothing_is_left_open(observe: Observe, make_tree: MakeTree) -> None:
    """PyRAPL never closes its files; the sensor does."""
    answer = observe(make_tree("two-packages-with-dram", sockets=2), {})
    assert answer.files_left_open == 0


def test_memory_of_one_package_alone_is_missing_with_pyrapl(observe: Observe, make_tree: MakeTree) -> None:
    """PyRAPL then has no memory at all; the packages are read."""
    tree = make_tree("two-packages-with-dram", sockets=2)
    (tree / NESTED / "intel-rapl:1/intel-rapl:1:0/name").write_text("core\n")
    answer = observe(tree, *advanced(tree, reads=1))
    assert answer.pyrapl.joules["package"] == answer.powercap.joules["package"]
    assert answer.pyrapl.reasons["package-0/dram"] == "pyRAPL did not find this counter"
    (missing,) = answer.pyrapl.missing
    assert missing["what"] == "energy of package-0/dram by pyRAPL"


def missing_with_pyrapl(observe: Observe, tree: Path, *, as_mere_user: bool = False) -> tuple[str, dict[str, str]]:
    """Check that pyRAPL reads nothing and leaves nothing open; return what plain pyRAPL raises, and what is missing."""
    answer = observe(tree, {}, as_mere_user=as_mere_user)
    assert answer.pyrapl.values == [{}, {}]
    assert set(answer.pyrapl.joules.values()) <= {None}
    assert answer.files_left_open == 0
    assert answer.plain_error is not None
    (missing,) = answer.pyrapl.missing
    assert missing["cure"]
    return answer.plain_error, missing


def test_gaps_in_the_numbers_are_explained(observe: Observe, make_tree: MakeTree) -> None:
    """PyRAPL stops before intel-rapl:5, and finds one package for two sockets."""
    error, missing = missing_with_pyrapl(observe, make_tree("gaps-in-numbers", sockets=2))
    assert error == "PyRAPLCantRecordEnergyConsumption"
    assert "stops at the first gap" in missing["message"]
    assert "powercap" in missing["cure"]


@pytest.mark.parametrize("machine", ["cascade-lake-ap", "amd-multi-die-mirrored"])
def test_several_dies_are_explained(observe: Observe, make_tree: MakeTree, machine: str) -> None:
    """PyRAPL takes each die for a package, and finds more packages than sockets."""
    error, missing = missing_with_pyrapl(observe, make_tree(machine, sockets=2))
    assert error == "PyRAPLCantRecordEnergyConsumption"
    assert "each die has one" in missing["message"]


def test_dies_that_happen_to_be_as_many_as_sockets_keep_their_own_names(observe: Observe, make_tree: MakeTree) -> None:
    """PyRAPL takes the second die for the other socket; its value still has its own name here."""
    tree = make_tree("two-packages-with-dram", sockets=2)
    for die in range(2):
        (tree / NESTED / f"intel-rapl:{die}/name").write_text(f"package-0-die-{die}\n")
    answer = observe(tree, *advanced(tree, reads=1))
    assert answer.pyrapl.joules == answer.powercap.joules
    assert "package-0-die-1" in answer.pyrapl.joules


def test_a_cpu_that_is_offline_is_explained(observe: Observe, make_tree: MakeTree) -> None:
    """PyRAPL needs the socket of every CPU that is present, and an offline one has none."""
    error, missing = missing_with_pyrapl(observe, make_tree("amd-single", offline=1))
    assert error == "FileNotFoundError"
    assert "cpu1" in missing["message"]
    assert "online" in missing["cure"]


def test_a_machine_without_rapl_is_explained(observe: Observe, make_tree: MakeTree) -> None:
    """Reason and cure are those of powercap."""
    error, missing = missing_with_pyrapl(observe, make_tree("no-rapl"))
    assert error == "PyRAPLCantRecordEnergyConsumption"
    assert missing["why"] == "absent"


def test_counters_that_may_not_be_read_are_explained(observe: Observe, make_tree: MakeTree) -> None:
    """They are not taken for missing files."""
    tree = make_tree("two-packages-with-dram", sockets=2)
    for counter in counters(tree):
        counter.chmod(0o000)
    error, missing = missing_with_pyrapl(observe, tree, as_mere_user=True)
    assert error == "PermissionError"
    assert missing["why"] == "not_permitted"
    assert "root" in missing["cure"]


def test_what_pyrapl_cannot_parse_is_explained(observe: Observe, make_tree: MakeTree) -> None:
    """It raises for letters, blanks and control characters in place of names and numbers; the sensor does not."""
    error, missing = missing_with_pyrapl(observe, make_tree("garbage", sockets=9))
    assert error in missing["message"]
    assert missing["message"].isprintable()
    assert missing["why"] == "unreadable"


@pytest.mark.parametrize(("file", "content"), [("energy_uj", "12a4\n"), ("name", "package\n")])
def test_one_file_that_pyrapl_cannot_parse_is_explained(
    observe: Observe, make_tree: MakeTree, file: str, content: str
) -> None:
    """For a counter of letters, or a package without a number, pyRAPL gives up all counters."""
    tree = make_tree("two-packages-with-dram", sockets=2)
    (tree / NESTED / f"intel-rapl:1/{file}").write_text(content)
    error, missing = missing_with_pyrapl(observe, tree)
    assert error in missing["message"]
    assert missing["why"] == "unreadable"
