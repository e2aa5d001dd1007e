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


def check_mapping(mapping: CommonMapping) -> list[Mistake]:
    """Return every mistake in `mapping` that its types allow."""
    mistakes = [
        *_sources(mapping),
        *_machines(mapping),
        *_folders(mapping),
        *_labels(mapping),
        *_pairs(mapping),
        *_time_zone(mapping),
    ]
    # The rows of CodeCarbon have energy, duration, number of CPUs and size of memory themselves.
    if isinstance(mapping, ExperimentRunnerMapping):
        mistakes += [*_metrics(mapping), *_units(mapping)]
    return mistakes


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


def _mistake(*location: str | int, text: str) -> Mistake:
    return Mistake(location, f"{'.'.join(map(str, location))}: {text}")


def _sources(mapping: CommonMapping) -> Iterator[Mistake]:
    for name, source in sources_of(mapping).items():
        if (source.value is None) == (source.column is None):
            yield _mistake(*name.split("."), text="give exactly one of value and column.")
        elif source.value is not None and not isinstance(source, NumberFactor) and source.values:
            yield _mistake(*name.split("."), "values", text="needs a column, and there is none.")


def _machines(mapping: CommonMapping) -> Iterator[Mistake]:
    known = tuple(mapping.machines)
    if mapping.machine is not None:
        used = [mapping.machine.value] if mapping.machine.value else list(mapping.machine.values.values())
        for name in used:
            if name not in known:
                yield _mistake("machine", text=_unknown(name, known))
    for index, rule in enumerate(mapping.folders):
        if rule.machine is not None and rule.machine not in known:
            yield _mistake("folders", index, "machine", text=_unknown(rule.machine, known))
    if isinstance(mapping, CodecarbonMapping):
        for name, machine in mapping.machines.items():
            if machine.cpu_model is None:
                text = "give its cpu_model, which assigns the rows of CodeCarbon to it."
                yield _mistake("machines", name, text=text)


def _unknown(name: str, known: Iterable[str]) -> str:
    hint = did_you_mean(name, known)
    return f"no machine is named {name!r}" + (f"; {hint}" if hint else " under `machines`.")


def _folders(mapping: CommonMapping) -> Iterator[Mistake]:
    seen: dict[str, int] = {}
    for index, rule in enumerate(mapping.folders):
        facts = (rule.model, rule.task, rule.machine, rule.batch_size, rule.threads, rule.dtype, rule.items)
        has_facts = bool(rule.labels) or any(value is not None for value in facts)
        if rule.leave_out and has_facts:
            yield _mistake("folders", index, text="has leave_out and also facts about the runs; remove one of them.")
        elif not rule.leave_out and not has_facts:
            yield _mistake("folders", index, text="has no facts about the runs; give model, task, leave_out, ...")
        if rule.match.startswith("/") or ".." in rule.match.split("/") or rule.match.endswith("/"):
            text = "must be a path below the imported folder, without .. and / at its ends."
            yield _mistake("folders", index, "match", text=text)
        if seen.setdefault(rule.match, index) != index:
            yield _mistake("folders", index, "match", text=f"{rule.match!r} is there twice.")
        for label in rule.labels:
            if label in mapping.labels:
                yield _mistake("folders", index, "labels", label, text="is also the label of a column (`labels`).")


def _labels(mapping: CommonMapping) -> Iterator[Mistake]:
    locations: list[tuple[str | int, ...]] = [("labels", label) for label in mapping.labels]
    for index, rule in enumerate(mapping.folders):
        locations += [("folders", index, "labels", label) for label in rule.labels]
    for location in locations:
        if location[-1] in OWN_LABELS:
            yield _mistake(
                *location, text="every imported trial has a label of this name already; choose another name."
            )


def _pairs(mapping: CommonMapping) -> Iterator[Mistake]:
    for name, pair in mapping.pairs.items():
        if pair.teacher == pair.student:
            yield _mistake("pairs", name, text="teacher and student are the same.")


def _time_zone(mapping: CommonMapping) -> Iterator[Mistake]:
    try:
        zone_of(mapping.time_zone)
    except (ValueError, OSError, LookupError):
        text = f"this machine knows no zone {mapping.time_zone!r}; give one such as UTC or Europe/Amsterdam."
        yield _mistake("time_zone", text=text)


def _metrics(mapping: ExperimentRunnerMapping) -> Iterator[Mistake]:
    metrics = mapping.metrics
    if metrics.energy_reported_j is None and metrics.window_s is None:
        yield _mistake("metrics", text="give energy_reported_j or window_s; without them there is nothing to compare.")
    if metrics.energy_reported_j is not None and mapping.reported_by is None:
        yield Mistake((), "reported_by: missing; state in your own words who reported which energy.")
    if metrics.items is not None:
        given = [f"folders.{index}.items" for index, rule in enumerate(mapping.folders) if rule.items is not None]
        given += ["items"] if mapping.items is not None else []
        if given:
            text = f"is a column, and {given[0]} states the number too; remove one of them."
            yield _mistake("metrics", "items", text=text)


def _units(mapping: ExperimentRunnerMapping) -> Iterator[Mistake]:
    cpu = mapping.metrics.cpu_percent
    memory = {name: getattr(mapping.metrics, name) for name in ("mean_rss_bytes", "peak_rss_bytes")}
    for name, machine in mapping.machines.items():
        if cpu is not None and is_of_all_cores(cpu.unit) and machine.logical_cpus is None:
            yield _mistake("machines", name, text=f"give its logical_cpus, which {cpu.unit!r} of cpu_percent needs.")
        for metric, column in memory.items():
            if column is not None and column.unit not in BYTES and machine.memory_bytes is None:
                yield _mistake(
                    "machines", name, text=f"give its memory_bytes, which {column.unit!r} of {metric} needs."
                )
