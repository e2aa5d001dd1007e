from dataclasses import replace

import pytest

from agent.doctor.checks import MachineLoad
from agent.doctor.diagnosis import Diagnosis, EnergyCounters, Source, as_json, diagnose
from agent.sensors.rapl.powercap import open_powercap
from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Channel
from tests.support.machines import unpacked

MACHINE = Machine(
    machine_id="0123456789abcdef",
    name="xeon-1",
    cpu_model="Xeon",
    sockets=2,
    physical_cores=4,
    logical_cpus=4,
    memory_bytes=2**36,
    virtualised=False,
)
ENVIRONMENT = Environment(
    runtime="none",
    engine="torch 2.13.0",
    image=None,
    kernel="6.1",
    kernel_command_line=None,
    os=None,
    microcode=None,
    governor="performance",
    turbo=False,
    smt=False,
    frequency_min_mhz=None,
    frequency_max_mhz=None,
    numa_nodes=1,
    energy_filter=None,
    swap_bytes=0,
    cgroup_cpu_limit=None,
    cgroup_memory_limit_bytes=None,
    libraries={"torch": "2.13.0", "transformers": "5", "psutil": "7", "ray": "2.60.0"},
)
QUIET = MachineLoad(load_1min=0.03, steal_percent=0.0, swap_used_bytes=0)
TEMPERATURE = Channel(name="temperature/coretemp/package-id-0", unit="degC", kind="gauge", source="thermal")


def counters(tree: str, *, of_running_kernel: bool = True) -> EnergyCounters:
    """Return the counters of a machine of tests/machines as if they belonged to the running kernel."""
    powercap = open_powercap(unpacked(tree) / "sys")
    powercap.close()
    return EnergyCounters(
        domains=powercap.domains,
        of_running_kernel=of_running_kernel,
        longest_power_limit_window_s=powercap.longest_power_limit_window_s,
        sources=(
            Source(name="powercap", channels=tuple(c.name for c in powercap.channels), reason=None),
            Source(name="pyrapl", channels=(), reason="pyRAPL cannot be imported"),
        ),
    )


def diagnosis(
    *,
    machine: Machine = MACHINE,
    environment: Environment = ENVIRONMENT,
    load: MachineLoad = QUIET,
    tree: str = "two-packages-with-dram",
    of_running_kernel: bool = True,
    gauges: tuple[Channel, ...] = (TEMPERATURE,),
) -> Diagnosis:
    """Return the diagnosis of a quiet bare machine, or of one with these differences."""
    return diagnose(
        machine=machine,
        environment=environment,
        load=load,
        energy=counters(tree, of_running_kernel=of_running_kernel),
        gauges=gauges,
        missing=(),
    )


def test_a_quiet_bare_machine_has_no_findings() -> None:
    """Nothing spoils a measurement there."""
    quiet = diagnosis()
    assert quiet.findings == ()
    assert quiet.total_scope == "package+dram"


@pytest.mark.parametrize(
    ("changes", "topic", "level"),
    [
        ({"environment": replace(ENVIRONMENT, governor="powersave")}, "governor", "warning"),
        ({"environment": replace(ENVIRONMENT, turbo=True)}, "turbo", "note"),
        ({"environment": replace(ENVIRONMENT, smt=True)}, "smt", "note"),
        ({"environment": replace(ENVIRONMENT, cgroup_cpu_limit=1.5)}, "cpu_quota", "warning"),
        ({"environment": replace(ENVIRONMENT, libraries={"ray": "2"})}, "agent", "warning"),
        (
            {"environment": replace(ENVIRONMENT, libraries={"torch": "2", "transformers": "5", "psutil": "7"})},
            "fleet",
            "warning",
        ),
        ({"machine": replace(MACHINE, virtualised=True)}, "virtual_machine", "warning"),
        ({"load": replace(QUIET, load_1min=0.9)}, "load", "warning"),
        ({"load": replace(QUIET, steal_percent=2.5)}, "steal", "warning"),
        ({"load": replace(QUIET, swap_used_bytes=5_000_000)}, "swap", "warning"),
        ({"gauges": ()}, "thermal", "note"),
        ({"of_running_kernel": False}, "simulated_counters", "note"),
        ({"environment": replace(ENVIRONMENT, energy_filter=True)}, "energy_filter", "warning"),
        ({"tree": "amd-single"}, "dram", "note"),
    ],
)
def test_each_thing_that_spoils_a_measurement_is_found(changes: dict[str, object], topic: str, level: str) -> None:
    """One difference from a quiet machine is one finding, with advice."""
    (finding,) = diagnosis(**changes).findings  # type: ignore[arg-type]  # the table holds values of several types
    assert (finding.topic, finding.level) == (topic, level)
    assert finding.message
    assert finding.advice


def test_what_is_not_readable_is_no_finding() -> None:
    """None is neither bad nor good."""
    load = replace(QUIET, load_1min=None, steal_percent=None, swap_used_bytes=None)
    assert diagnosis(load=load, environment=replace(ENVIRONMENT, governor=None, turbo=None)).findings == ()


def test_noise_in_counters_that_nobody_can_read_is_no_finding() -> None:
    """A virtual machine with SGX has no counters to add noise to."""
    filtered = replace(ENVIRONMENT, energy_filter=True)
    topics = {f.topic for f in diagnosis(tree="no-rapl", environment=filtered).findings}
    assert "energy_filter" not in topics


def test_counters_of_another_kernel_are_reported_as_simulated() -> None:
    """Their rows are marked, and never count as measured on this machine."""
    (finding,) = diagnosis(of_running_kernel=False).findings
    assert "marked simulated" in finding.advice
    assert as_json(diagnosis(of_running_kernel=False))["of_running_kernel"] is False


def test_the_total_is_unknown_where_a_part_cannot_be_read() -> None:
    """No domain is in an unknown total."""
    energy = counters("two-packages-with-dram")
    broken = replace(energy.domains[0], reason="the counter is there, but holds no number")
    result = diagnose(
        machine=MACHINE,
        environment=ENVIRONMENT,
        load=QUIET,
        energy=replace(energy, domains=(broken, *energy.domains[1:])),
        gauges=(),
        missing=(),
    )
    assert result.total_scope is None
    assert not any(result.in_total(d) for d in result.energy.domains)


def test_the_keys_of_the_json_are_stable() -> None:
    """Scripts read them: a renamed key breaks them."""
    data = as_json(diagnosis())
    assert list(data) == [
        "machine",
        "environment",
        "domains",
        "of_running_kernel",
        "energy_sources",
        "total_scope",
        "longest_power_limit_window_s",
        "gauges",
        "missing",
        "findings",
    ]
    assert data["domains"][0] == {
        "name": "package-0",
        "kind": "package",
        "unit": "uJ",
        "range_uj": 262_143_328_850,
        "peak_w": 500.0,
        "power_limits": [
            {"name": "long_term", "watts": 205.0, "window_s": 0.999424},
            {"name": "short_term", "watts": 246.0, "window_s": 0.001952},
        ],
        "in_total": True,
        "readable": True,
        "reason": None,
    }
    assert data["energy_sources"][1] == {"name": "pyrapl", "channels": (), "reason": "pyRAPL cannot be imported"}
    assert data["gauges"] == [
        {"name": "temperature/coretemp/package-id-0", "unit": "degC", "kind": "gauge", "source": "thermal"}
    ]
