"""What here spoils a measurement, or must be known to a reader of its results. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Channel

MOST_LOAD = 0.5
"""Processes wanting a CPU, at the mean of the last minute, that an idle machine may have."""

MOST_STEAL_PERCENT = 1.0
"""Share of the CPU time since boot that the hypervisor may have taken: the threshold of a study's trials."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLoad:
    """How the machine is at this moment; None: not readable."""

    load_1min: float | None
    steal_percent: float | None
    """Of all CPU time since boot."""
    swap_used_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFinding:
    """Something here that spoils a measurement (`warning`) or that a reader of the results must know (`note`)."""

    topic: str
    level: Literal["warning", "note"]
    message: str
    advice: str


def findings_of_machine(
    machine: Machine | None, environment: Environment, observed: MachineLoad
) -> Iterator[MachineFinding]:
    """What clock, load, limits and libraries do to a measurement."""
    yield from _frequency_findings(environment)
    yield from _load_findings(machine, observed)
    yield from _limit_findings(environment)
    yield from _library_findings(environment)


def findings_of_counters(
    *, scope: str | None, own: bool, energy_filter: bool | None, gauges: Sequence[Channel]
) -> Iterator[MachineFinding]:
    """What the energy counters and the other sensors do to a measurement.

    `scope` is the total's, `own` whether the counters are the running kernel's, `energy_filter` whether
    the CPU adds noise to counters that can be read.
    """
    if not own:
        yield _note(
            "origin",
            "these energy counters are not the running kernel's own",
            "Rows measured with them are marked simulated and never count as measured on this machine. "
            "To measure, name the folder where this machine's sysfs is mounted.",
        )
    if energy_filter:
        yield _warning(
            "energy_filter",
            "the CPU adds noise to its energy counters on purpose (CVE-2020-8694): SGX is enabled, or the filter is on",
            "Switch SGX off in the firmware and restart; a filter that was switched on stays until then as well. "
            "Else measure windows of 30 s or more, and no short phases: the noise averages out with time.",
        )
    if scope == "package":
        yield _note(
            "dram",
            "not every package has a DRAM counter: the total is the packages alone",
            "Compare with other machines by the scope package.",
        )
    if not any(gauge.source == "thermal" for gauge in gauges):
        yield _note(
            "thermal",
            "no temperature can be read",
            "The rest between trials is a fixed time where idle power cannot be read either; raise "
            "measure.cool_down.fixed_s if trials warm the machine.",
        )


def _warning(topic: str, message: str, advice: str) -> MachineFinding:
    return MachineFinding(topic=topic, level="warning", message=message, advice=advice)


def _note(topic: str, message: str, advice: str) -> MachineFinding:
    return MachineFinding(topic=topic, level="note", message=message, advice=advice)


def _frequency_findings(environment: Environment) -> Iterator[MachineFinding]:
    if environment.governor not in (None, "performance"):
        yield _warning(
            "governor",
            f"the frequency governor is {environment.governor}: the clock follows the load",
            "Set it on every CPU: sudo cpupower frequency-set -g performance",
        )
    if environment.turbo:
        yield _note(
            "turbo",
            "turbo is on: clock and power fall as the package warms",
            "Switch it off for the tightest intervals, in the firmware or by intel_pstate/no_turbo or cpufreq/boost.",
        )
    if environment.smt:
        yield _note(
            "smt",
            "SMT is on: two logical CPUs share a core, so CPU percent is not work done",
            "Give the work no more threads than there are cores, or switch SMT off in the firmware.",
        )


def _load_findings(machine: Machine | None, observed: MachineLoad) -> Iterator[MachineFinding]:
    if machine is not None and machine.virtualised:
        yield _warning(
            "virtual_machine",
            "this is a virtual machine: its neighbours share the CPU, and few have energy counters",
            "Measure on bare metal; here, trust ratios within a block rather than absolute values.",
        )
    if observed.load_1min is not None and observed.load_1min > MOST_LOAD:
        yield _warning(
            "load",
            f"other work is running: load {observed.load_1min:.2f} over the last minute",
            "Stop it before a study; energy counters cannot tell whose work it was.",
        )
    if observed.steal_percent is not None and observed.steal_percent > MOST_STEAL_PERCENT:
        yield _warning(
            "steal",
            f"the hypervisor has taken {observed.steal_percent:.1f} % of the CPU time since boot",
            "Ask for dedicated CPUs.",
        )
    if observed.swap_used_bytes:
        yield _warning(
            "swap",
            f"{observed.swap_used_bytes / 2**20:.0f} MiB are swapped out: page faults would be measured as work",
            "Free memory, then: sudo swapoff -a",
        )


def _limit_findings(environment: Environment) -> Iterator[MachineFinding]:
    if environment.cgroup_cpu_limit is not None:
        yield _warning(
            "cpu_quota",
            f"a CPU quota of {environment.cgroup_cpu_limit:g} CPUs stops the work whenever it is used up",
            "Give whole CPUs instead of a quota (a cpuset; in Kubernetes the static CPU manager).",
        )


def _library_findings(environment: Environment) -> Iterator[MachineFinding]:
    absent = [name for name in ("torch", "transformers", "psutil") if name not in environment.libraries]
    if absent:
        yield _warning(
            "agent",
            f"{', '.join(absent)} not installed: this machine cannot run a trial",
            "pip install 'joulefleet[agent]'",
        )
    if "ray" not in environment.libraries:
        yield _warning("fleet", "ray not installed: this machine cannot run a study", "pip install 'joulefleet[fleet]'")
