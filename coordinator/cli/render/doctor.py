"""The doctor's diagnosis as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent.doctor.diagnosis import Diagnosis
    from agent.sensors.rapl.domains import Domain

StyledLine = tuple[str, str]
"""A style (rich's name for it, empty for none) and a line of text."""


def lines(diagnosis: Diagnosis) -> Iterator[StyledLine]:
    """Yield the lines of the diagnosis for people."""
    yield from _machine_lines(diagnosis)
    yield "", ""
    yield from _domain_lines(diagnosis)
    yield "", ""
    yield from _gauge_lines(diagnosis)
    if diagnosis.missing:
        yield "", ""
        yield "bold", "Cannot be measured"
    for missing in diagnosis.missing:
        yield "red", f"  {missing.what}: {missing.why.replace('_', ' ')}: {missing.message}"
        yield "", f"    {missing.cure}"
    yield "", ""
    if not diagnosis.findings:
        yield "green", "Nothing here affects a measurement."
        return
    yield "bold", "What affects a measurement here"
    for finding in diagnosis.findings:
        yield "yellow" if finding.level == "warning" else "", f"  {finding.level}: {finding.message}"
        yield "", f"    {finding.advice}"


def _machine_lines(diagnosis: Diagnosis) -> Iterator[StyledLine]:
    machine, environment = diagnosis.machine, diagnosis.environment
    if machine is None:
        yield "bold", "This machine has no id: see below"
    else:
        yield "bold", f"{machine.name} ({machine.machine_id})"
        cores = "" if machine.physical_cores is None else f"{machine.physical_cores} cores, "
        yield "", f"  {machine.cpu_model or 'unknown CPU'}: {cores}{machine.logical_cpus} logical CPUs"
        yield "", f"  {machine.memory_bytes / 2**30:.1f} GiB of memory"
    yield "", f"  {environment.os or 'unknown system'}, kernel {environment.kernel}"
    where = "no container" if environment.runtime == "none" else f"in a container ({environment.runtime})"
    yield "", f"  {where}; {', '.join(f'{name} {version}' for name, version in environment.libraries.items())}"


def _domain_lines(diagnosis: Diagnosis) -> Iterator[StyledLine]:
    energy = diagnosis.energy
    yield "bold", "Energy counters"
    for domain in energy.domains:
        if domain.reason is not None:
            yield "red", f"  {domain.channel}: {domain.reason}"
            continue
        style = "green" if diagnosis.in_total(domain) else ""
        yield style, f"  {domain.channel}: {domain.kind}, {_part_in_total(diagnosis, domain)}{_limits(domain)}"
    if not energy.domains:
        yield "", "  none: measured energy will be null, with the reason"
    elif diagnosis.total_scope is None:
        yield "", "  The total is unknown."
    else:
        yield "", f"  The scope of the total is {diagnosis.total_scope}. It is not wall energy."
    messages = {missing.message for missing in diagnosis.missing}
    for source in energy.sources:
        if len(source.channels) == len(energy.domains) > 0:
            yield "", f"  Source {source.name}: reads all of them"
        elif source.channels:
            yield "", f"  Source {source.name}: reads {', '.join(source.channels)}"
        else:
            reason = "see below" if source.reason in messages else source.reason
            yield "", f"  Source {source.name}: reads none: {reason}"


def _part_in_total(diagnosis: Diagnosis, domain: Domain) -> str:
    if diagnosis.in_total(domain):
        return "in the total"
    if domain.kind == "package" and not domain.counts_in:
        return "repeats another counter"
    return (
        "not in the total"
        if diagnosis.total_scope is not None or not domain.counts_in
        else "part of a total that is unknown"
    )


def _limits(domain: Domain) -> str:
    limits = [
        f"{limit.name} {limit.watts:g} W" + ("" if limit.window_s is None else f" over {limit.window_s:.3g} s")
        for limit in domain.limits
    ]
    return f"; {', '.join(limits)}" if limits else ""


def _gauge_lines(diagnosis: Diagnosis) -> Iterator[StyledLine]:
    yield "bold", "Other sensors"
    sources = dict.fromkeys(gauge.source for gauge in diagnosis.gauges)
    for source in sources:
        names = (f"{gauge.name} ({gauge.unit})" for gauge in diagnosis.gauges if gauge.source == source)
        yield "", f"  {source}: {', '.join(names)}"
    if not sources:
        yield "", "  none"
