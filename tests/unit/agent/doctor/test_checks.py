from dataclasses import replace

import pytest

from agent.doctor.checks import (
    MAX_LOAD,
    MAX_STEAL_PERCENT,
    MachineFinding,
    MachineLoad,
    findings_of_counters,
    findings_of_machine,
)
from joulefleet.machine import Environment
from joulefleet.measurement import Channel

ENVIRONMENT = Environment(
    runtime="none",
    engine="none",
    image=None,
    kernel="6.1",
    kernel_command_line=None,
    os=None,
    microcode=None,
    governor=None,
    turbo=None,
    smt=None,
    frequency_min_mhz=None,
    frequency_max_mhz=None,
    numa_nodes=None,
    energy_filter=None,
    swap_bytes=None,
    cgroup_cpu_limit=None,
    cgroup_memory_limit_bytes=None,
    libraries={"torch": "2", "transformers": "5", "psutil": "7", "ray": "2"},
)
UNKNOWN_LOAD = MachineLoad(load_1min=None, steal_percent=None, swap_used_bytes=None)
TEMPERATURE = Channel(name="temperature/k10temp/tctl", unit="degC", kind="gauge", source="thermal")
FREQUENCY = Channel(name="cpu_frequency_mean_mhz", unit="MHz", kind="gauge", source="frequency")


def of_load(load: MachineLoad) -> list[MachineFinding]:
    """Return the findings of a machine of which only the load is known."""
    return list(findings_of_machine(None, ENVIRONMENT, load))


def of_counters(
    *,
    scope: str | None = "package+dram",
    gauges: tuple[Channel, ...] = (TEMPERATURE,),
    energy_filter: bool | None = None,
) -> list[str]:
    """Return the topics of the findings of counters of the running kernel."""
    findings = findings_of_counters(scope=scope, of_running_kernel=True, energy_filter=energy_filter, gauges=gauges)
    return [finding.topic for finding in findings]


@pytest.mark.parametrize(("load_1min", "topics"), [(MAX_LOAD, []), (MAX_LOAD + 0.01, ["load"])])
def test_only_a_load_above_the_limit_is_found(load_1min: float, topics: list[str]) -> None:
    """An idle machine has some load too."""
    assert [finding.topic for finding in of_load(replace(UNKNOWN_LOAD, load_1min=load_1min))] == topics


@pytest.mark.parametrize(("percent", "topics"), [(MAX_STEAL_PERCENT, []), (MAX_STEAL_PERCENT + 0.1, ["steal"])])
def test_only_steal_above_the_limit_is_found(percent: float, topics: list[str]) -> None:
    """The limit is that of a trial."""
    assert [finding.topic for finding in of_load(replace(UNKNOWN_LOAD, steal_percent=percent))] == topics


def test_a_message_has_the_value_that_was_read() -> None:
    """So a user can see how far it is from the limit."""
    (load,) = of_load(replace(UNKNOWN_LOAD, load_1min=3.456))
    (swap,) = of_load(replace(UNKNOWN_LOAD, swap_used_bytes=5 * 2**20))
    (governor,) = findings_of_machine(None, replace(ENVIRONMENT, governor="powersave"), UNKNOWN_LOAD)
    assert "3.46" in load.message
    assert "5 MiB" in swap.message
    assert "powersave" in governor.message


def test_every_library_that_a_trial_needs_is_named() -> None:
    """Ray is needed for a study, not for a trial."""
    agent, fleet = findings_of_machine(None, replace(ENVIRONMENT, libraries={}), UNKNOWN_LOAD)
    assert "torch, transformers, psutil" in agent.message
    assert "ray" in fleet.message


def test_only_a_temperature_makes_the_thermal_note_go_away() -> None:
    """Other gauges cannot end a cool-down."""
    assert of_counters(gauges=(FREQUENCY,)) == ["thermal"]
    assert of_counters(gauges=(FREQUENCY, TEMPERATURE)) == []


@pytest.mark.parametrize(("scope", "topics"), [("package", ["dram"]), ("package+dram", []), (None, [])])
def test_the_dram_note_needs_a_total_of_packages(scope: str | None, topics: list[str]) -> None:
    """An unknown total is reported as missing instead."""
    assert of_counters(scope=scope) == topics


@pytest.mark.parametrize(("energy_filter", "topics"), [(True, ["energy_filter"]), (False, []), (None, [])])
def test_only_a_filter_that_is_known_to_be_on_is_found(*, energy_filter: bool | None, topics: list[str]) -> None:
    """Most machines do not show whether it is on."""
    assert of_counters(energy_filter=energy_filter) == topics
