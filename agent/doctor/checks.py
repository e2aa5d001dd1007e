"""The doctor's rules: what in a machine's records spoils a measurement. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from joulefleet.machine import Environment, Machine
from joulefleet.measurement import Channel

MAX_LOAD = 0.5
"""Highest load average of the last minute at which a machine counts as idle."""

MAX_STEAL_PERCENT = 1.0
"""Highest share of the CPU time since boot that the hypervisor may take, percent: the threshold of a trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLoad:
    """What else the machine does at this moment; None where that cannot be read."""

    load_1min: float | None
    """Load average of the last minute."""
    steal_percent: float | None
    """Share of all CPU time since boot that the hypervisor took, percent."""
    swap_used_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineFinding:
    """One thing about this machine that a user should know before a study."""

    topic: str
    """Stable name for scripts, such as `governor`."""
    level: Literal["warning", "note"]
    """`warning`: it spoils measurements; `note`: readers of the results must know it."""
    message: str
    advice: str


def findings_of_machine(
    machine: Machine | None, environment: Environment, load: MachineLoad
) -> Iterator[MachineFinding]:
    """Yield what clock, load, limits and libraries do to a measurement."""
    yield from _frequency_findings(environment)
    yield from _load_findings(machine, load)
    yield from _limit_findings(environment)
    yield from _library_findings(environment)


def findings_of_counters(
    *, scope: str | None, of_running_kernel: bool, energy_filter: bool | None, gauges: Sequence[Channel]
) -> Iterator[MachineFinding]:
    """Yield what the energy counters and the other sensors do to a measurement.

    `scope` is the total's; `energy_filter` is whether the CPU adds noise to counters that can be read.
    """
    if not of_running_kernel:
        yield _note(
            "simulated_counters",
            "these energy counters do not belong to the kernel that runs here",
            "Rows measured with them are marked simulated and never count as measured on this machine. "
            "To measure, name the folder where this machine's sysfs is mounted.",
        )
    if energy_filter:
        yield _warning(
            "energy_filter",
            "the CPU adds noise to its energy counters on purpose (CVE-2020-8694): SGX is enabled, or the filter is on",
            "Switch SGX off in the firmware and restart; a filter that software switched on ends with a restart too. "
            "Or measure windows of 30 s or more, and no short phases: the noise averages out with time.",
        )
    if scope == "package":
        yield _note(
            "dram",
            "not every package has a DRAM counter: the total is that of the packages only",
            "Compare with other machines by the scope package.",
        )
    if not any(gauge.source == "thermal" for gauge in gauges):
        yield _note(
            "thermal",
            "no temperature can be read",
            "Where idle power cannot be read either, the pause between trials has a fixed length: raise "
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
            "For the narrowest intervals switch it off, in the firmware or by intel_pstate/no_turbo or cpufreq/boost.",
        )
    if environment.smt:
        yield _note(
            "smt",
            "SMT is on: two logical CPUs share a core, so CPU percent is no measure of work",
            "Give the work no more threads than there are cores, or switch SMT off in the firmware.",
        )


def _load_findings(machine: Machine | None, load: MachineLoad) -> Iterator[MachineFinding]:
    if machine is not None and machine.virtualised:
        yield _warning(
            "virtual_machine",
            "this is a virtual machine: others share its CPU, and few virtual machines have energy counters",
            "Measure on bare metal; here, rely on ratios within a block rather than on absolute values.",
        )
    if load.load_1min is not None and load.load_1min > MAX_LOAD:
        yield _warning(
            "load",
            f"other work is running: load {load.load_1min:.2f} over the last minute",
            "Stop it before a study: energy counters count all work on the machine.",
        )
    if load.steal_percent is not None and load.steal_percent > MAX_STEAL_PERCENT:
        yield _warning(
            "steal",
            f"the hypervisor has taken {load.steal_percent:.1f} % of the CPU time since boot",
            "Use a virtual machine with dedicated CPUs.",
        )
    if load.swap_used_bytes:
        yield _warning(
            "swap",
            f"{load.swap_used_bytes / 2**20:.0f} MiB are swapped out: page faults would be measured as work",
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
        yield _warning(
            "fleet",
            "ray is not installed: this machine can run a study only with `joulefleet run --local`",
            "pip install 'joulefleet[fleet]'",
        )
