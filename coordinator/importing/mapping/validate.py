"""What the types of a mapping cannot say: names that must exist, units that need more, one source for each name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordinator.importing.mapping.spec import (
    CodecarbonMapping,
    CommonMapping,
    ExperimentRunnerMapping,
    Named,
    NumberFactor,
    TextFactor,
)
from coordinator.importing.mapping.units import BYTES, of_all_cores, zone_of
from joulefleet.errors import did_you_mean
from joulefleet.yamlfile.problems import Mistake

OWN_LABELS = ("folder", "run")
"""Each imported trial has these labels already: the folder and the run that it came from."""

_KEPT = "every imported trial has such a label; name it otherwise."


def check_mapping(mapping: CommonMapping) -> list[Mistake]:
    """Every mistake of meaning in `mapping`."""
    return [
        *_sources(mapping),
        *_machines(mapping),
        *_folders(mapping),
        *_labels(mapping),
        *_pairs(mapping),
        *_time_zone(mapping),
        *(_metrics(mapping) if isinstance(mapping, ExperimentRunnerMapping) else ()),
        *_units(mapping),
    ]


def machines_of(mapping: CommonMapping) -> tuple[str, ...]:
    """The names of the machines of `mapping`."""
    assert isinstance(mapping, ExperimentRunnerMapping | CodecarbonMapping)
    return tuple(mapping.machines)


def _sources(mapping: CommonMapping) -> Iterator[Mistake]:
    sources: dict[str, Named | NumberFactor | TextFactor | None] = {
        "model": mapping.model,
        "task": mapping.task,
        "machine": mapping.machine,
        "factors.batch_size": mapping.factors.batch_size,
        "factors.threads": mapping.factors.threads,
        "factors.dtype": mapping.factors.dtype,
    }
    for name, source in sources.items():
        if source is None:
            continue
        here = tuple(name.split("."))
        if (source.value is None) == (source.column is None):
            yield Mistake(here, f"{name}: give exactly one of value and column.")
        elif source.value is not None and not isinstance(source, NumberFactor) and source.values:
            yield Mistake((*here, "values"), f"{name}.values: says what stands in a column, and there is none.")


def _machines(mapping: CommonMapping) -> Iterator[Mistake]:
    known = machines_of(mapping)
    if mapping.machine is not None:
        named = [mapping.machine.value] if mapping.machine.value else list(mapping.machine.values.values())
        for name in named:
            if name not in known:
                yield Mistake(("machine",), f"machine: {_unknown(name, known)}")
    for index, rule in enumerate(mapping.folders):
        if rule.machine is not None and rule.machine not in known:
            yield Mistake(("folders", index, "machine"), f"folders.{index}.machine: {_unknown(rule.machine, known)}")
    if isinstance(mapping, CodecarbonMapping):
        for name, machine in mapping.machines.items():
            if machine.cpu_model is None:
                text = f"machines.{name}: give its cpu_model, by which the rows of CodeCarbon are told apart."
                yield Mistake(("machines", name), text)


def _unknown(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known)
    return f"no machine is named {name!r}" + (f"; {hint}" if hint else " under `machines`.")


def _folders(mapping: CommonMapping) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(mapping.folders):
        here = ("folders", index)
        said = (rule.model, rule.task, rule.machine, rule.batch_size, rule.threads, rule.dtype, rule.items)
        if rule.leave_out and (rule.labels or any(value is not None for value in said)):
            yield Mistake(here, f"folders.{index}: left out, and yet it says what is in them.")
        elif not rule.leave_out and not rule.labels and all(value is None for value in said):
            yield Mistake(here, f"folders.{index}: says nothing of the folders; give model, task, leave_out, ...")
        if rule.match.startswith("/") or ".." in rule.match.split("/") or rule.match.endswith("/"):
            text = f"folders.{index}.match: a path below the folder that is imported, without .. and / at its ends."
            yield Mistake((*here, "match"), text)
        if seen.setdefault(rule.match, index) != index:
            yield Mistake((*here, "match"), f"folders.{index}.match: {rule.match!r} stands a second time.")
        for label in rule.labels:
            if label in mapping.labels:
                text = f"folders.{index}.labels.{label}: is a column's label as well (`labels`)."
                yield Mistake((*here, "labels", label), text)


def _labels(mapping: CommonMapping) -> Iterator[Mistake]:
    for label in mapping.labels:
        if label in OWN_LABELS:
            yield Mistake(("labels", label), f"labels.{label}: {_KEPT}")
    for index, rule in enumerate(mapping.folders):
        for label in rule.labels:
            if label in OWN_LABELS:
                yield Mistake(("folders", index, "labels", label), f"folders.{index}.labels.{label}: {_KEPT}")


def _pairs(mapping: CommonMapping) -> Iterator[Mistake]:
    for name, pair in mapping.pairs.items():
        if pair.teacher == pair.student:
            yield Mistake(("pairs", name), f"pairs.{name}: teacher and student are the same.")


def _time_zone(mapping: CommonMapping) -> Iterator[Mistake]:
    try:
        zone_of(mapping.time_zone)
    except (ValueError, OSError, LookupError):
        text = f"time_zone: this machine knows no zone {mapping.time_zone!r}; such as UTC or Europe/Amsterdam."
        yield Mistake(("time_zone",), text)


def _metrics(mapping: ExperimentRunnerMapping) -> Iterator[Mistake]:
    metrics = mapping.metrics
    if metrics.energy_reported_j is None and metrics.window_s is None:
        yield Mistake(("metrics",), "metrics: give energy_reported_j or window_s; there is nothing to compare without.")
    if metrics.energy_reported_j is not None and mapping.reported_by is None:
        yield Mistake((), "reported_by: missing; say in your own words who reported the energy, and of what.")
    if metrics.items is not None:
        given = [f"folders.{index}.items" for index, rule in enumerate(mapping.folders) if rule.items is not None]
        given += ["items"] if mapping.items is not None else []
        if given:
            yield Mistake(("metrics", "items"), f"metrics.items: is a column, and {given[0]} says it too.")


def _units(mapping: CommonMapping) -> Iterator[Mistake]:
    assert isinstance(mapping, ExperimentRunnerMapping | CodecarbonMapping)
    if isinstance(mapping, CodecarbonMapping):
        # Its own columns say how many CPUs and how much memory there are.
        return
    cpu = mapping.metrics.cpu_percent
    memory = {name: getattr(mapping.metrics, name) for name in ("mean_rss_bytes", "peak_rss_bytes")}
    for name, machine in mapping.machines.items():
        if cpu is not None and of_all_cores(cpu.unit) and machine.logical_cpus is None:
            yield Mistake(("machines", name), f"machines.{name}: {cpu.unit!r} of cpu_percent needs its logical_cpus.")
        for metric, column in memory.items():
            if column is not None and column.unit not in BYTES and machine.memory_bytes is None:
                text = f"machines.{name}: {column.unit!r} of {metric} needs its memory_bytes."
                yield Mistake(("machines", name), text)
