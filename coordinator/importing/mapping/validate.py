"""Checks of a mapping that its types cannot express: names that must exist, units that need more facts, ..."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from coordinator.importing.mapping.spec import (
    CodecarbonMapping,
    CommonMapping,
    ExperimentRunnerMapping,
    NameSource,
    NumberFactor,
    TextFactor,
)
from coordinator.importing.mapping.units import BYTES, is_of_all_cores, zone_of
from joulefleet.errors import did_you_mean
from joulefleet.yamlfile.problems import Mistake

OWN_LABELS = ("folder", "run")
"""Labels that every imported trial has: the folder and the run that it comes from."""

_RESERVED = "every imported trial has a label of this name already; choose another name."


def check_mapping(mapping: CommonMapping) -> list[Mistake]:
    """Return every mistake in `mapping` that its types allow."""
    return [
        *_sources(mapping),
        *_machines(mapping),
        *_folders(mapping),
        *_labels(mapping),
        *_pairs(mapping),
        *_time_zone(mapping),
        *(_metrics(mapping) if isinstance(mapping, ExperimentRunnerMapping) else ()),
        # The rows of CodeCarbon state the number of CPUs and the size of the memory.
        *(_units(mapping) if isinstance(mapping, ExperimentRunnerMapping) else ()),
    ]


def sources_of(mapping: CommonMapping) -> dict[str, NameSource | NumberFactor | TextFactor]:
    """Return the sources of names and factors that `mapping` has, by the path of each."""
    sources = {
        "model": mapping.model,
        "task": mapping.task,
        "machine": mapping.machine,
        "factors.batch_size": mapping.factors.batch_size,
        "factors.threads": mapping.factors.threads,
        "factors.dtype": mapping.factors.dtype,
    }
    return {name: source for name, source in sources.items() if source is not None}


def _sources(mapping: CommonMapping) -> Iterator[Mistake]:
    for name, source in sources_of(mapping).items():
        here = tuple(name.split("."))
        if (source.value is None) == (source.column is None):
            yield Mistake(here, f"{name}: give exactly one of value and column.")
        elif source.value is not None and not isinstance(source, NumberFactor) and source.values:
            yield Mistake((*here, "values"), f"{name}.values: needs a column, and there is none.")


def _machines(mapping: CommonMapping) -> Iterator[Mistake]:
    known = tuple(mapping.machines)
    if mapping.machine is not None:
        used = [mapping.machine.value] if mapping.machine.value else list(mapping.machine.values.values())
        for name in used:
            if name not in known:
                yield Mistake(("machine",), f"machine: {_unknown(name, known)}")
    for index, rule in enumerate(mapping.folders):
        if rule.machine is not None and rule.machine not in known:
            yield Mistake(("folders", index, "machine"), f"folders.{index}.machine: {_unknown(rule.machine, known)}")
    if isinstance(mapping, CodecarbonMapping):
        for name, machine in mapping.machines.items():
            if machine.cpu_model is None:
                text = f"machines.{name}: give its cpu_model, which assigns the rows of CodeCarbon to it."
                yield Mistake(("machines", name), text)


def _unknown(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known)
    return f"no machine is named {name!r}" + (f"; {hint}" if hint else " under `machines`.")


def _folders(mapping: CommonMapping) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(mapping.folders):
        here = ("folders", index)
        facts = (rule.model, rule.task, rule.machine, rule.batch_size, rule.threads, rule.dtype, rule.items)
        if rule.leave_out and (rule.labels or any(value is not None for value in facts)):
            yield Mistake(here, f"folders.{index}: has leave_out and also facts about the runs; remove one of them.")
        elif not rule.leave_out and not rule.labels and all(value is None for value in facts):
            yield Mistake(here, f"folders.{index}: has no facts about the runs; give model, task, leave_out, ...")
        if rule.match.startswith("/") or ".." in rule.match.split("/") or rule.match.endswith("/"):
            text = f"folders.{index}.match: must be a path below the imported folder, without .. and / at its ends."
            yield Mistake((*here, "match"), text)
        if seen.setdefault(rule.match, index) != index:
            yield Mistake((*here, "match"), f"folders.{index}.match: {rule.match!r} is there twice.")
        for label in rule.labels:
            if label in mapping.labels:
                text = f"folders.{index}.labels.{label}: is also the label of a column (`labels`)."
                yield Mistake((*here, "labels", label), text)


def _labels(mapping: CommonMapping) -> Iterator[Mistake]:
    for label in mapping.labels:
        if label in OWN_LABELS:
            yield Mistake(("labels", label), f"labels.{label}: {_RESERVED}")
    for index, rule in enumerate(mapping.folders):
        for label in rule.labels:
            if label in OWN_LABELS:
                yield Mistake(("folders", index, "labels", label), f"folders.{index}.labels.{label}: {_RESERVED}")


def _pairs(mapping: CommonMapping) -> Iterator[Mistake]:
    for name, pair in mapping.pairs.items():
        if pair.teacher == pair.student:
            yield Mistake(("pairs", name), f"pairs.{name}: teacher and student are the same.")


def _time_zone(mapping: CommonMapping) -> Iterator[Mistake]:
    try:
        zone_of(mapping.time_zone)
    except (ValueError, OSError, LookupError):
        text = f"time_zone: this machine knows no zone {mapping.time_zone!r}; give one such as UTC or Europe/Amsterdam."
        yield Mistake(("time_zone",), text)


def _metrics(mapping: ExperimentRunnerMapping) -> Iterator[Mistake]:
    metrics = mapping.metrics
    if metrics.energy_reported_j is None and metrics.window_s is None:
        yield Mistake(
            ("metrics",), "metrics: give energy_reported_j or window_s; without them there is nothing to compare."
        )
    if metrics.energy_reported_j is not None and mapping.reported_by is None:
        yield Mistake((), "reported_by: missing; state in your own words who reported which energy.")
    if metrics.items is not None:
        given = [f"folders.{index}.items" for index, rule in enumerate(mapping.folders) if rule.items is not None]
        given += ["items"] if mapping.items is not None else []
        if given:
            yield Mistake(
                ("metrics", "items"),
                f"metrics.items: is a column, and {given[0]} states the number too; remove one of them.",
            )


def _units(mapping: ExperimentRunnerMapping) -> Iterator[Mistake]:
    cpu = mapping.metrics.cpu_percent
    memory = {name: getattr(mapping.metrics, name) for name in ("mean_rss_bytes", "peak_rss_bytes")}
    for name, machine in mapping.machines.items():
        if cpu is not None and is_of_all_cores(cpu.unit) and machine.logical_cpus is None:
            yield Mistake(
                ("machines", name), f"machines.{name}: give its logical_cpus, which {cpu.unit!r} of cpu_percent needs."
            )
        for metric, column in memory.items():
            if column is not None and column.unit not in BYTES and machine.memory_bytes is None:
                text = f"machines.{name}: give its memory_bytes, which {column.unit!r} of {metric} needs."
                yield Mistake(("machines", name), text)
