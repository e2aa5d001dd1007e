"""The nested columns of many attempts at once: phases, joules, latencies and readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from joulefleet.schema import ENERGY_TYPE, PHASE_TYPE, READINGS_TYPE

LATENCIES = 300

CHANNELS = {
    "work_cpu_s": ("s", "counter", "process"),
    "work_rss_bytes": ("bytes", "gauge", "process"),
    "machine_cpu_s": ("s", "counter", "host"),
    "package-0": ("uJ", "counter", "powercap"),
    "dram": ("uJ", "counter", "powercap"),
    "x86_pkg_temp": ("degC", "gauge", "thermal"),
}
READINGS_A_CHANNEL = 50
READINGS = READINGS_A_CHANNEL * len(CHANNELS)
"""Number of readings of a trial; each channel is read every 1.2 s."""

PHASES = ("baseline", "start", "items", "load", "warm_up", "window", "cool_down")
DOMAINS = ("package", "core", "dram", "package+dram")


def nested(ok: NDArray[Any], rng: np.random.Generator) -> dict[str, pa.Array]:
    """Make phases, joules, latencies and readings, one row for each entry of `ok`; failed ones have no latencies."""
    count = len(ok)
    start_ns = rng.integers(10**14, 10**15, count)
    bounds = start_ns[:, None] + np.cumsum(rng.integers(10**9, 10**10, (count, len(PHASES) + 1)), axis=1)
    seconds = (bounds[:, 1:] - bounds[:, :-1]) / 1e9
    phases = {
        "phase": _cycle(PHASES, count),
        "start_ns": bounds[:, :-1].ravel(),
        "end_ns": bounds[:, 1:].ravel(),
        "seconds": seconds.ravel(),
        "cpu_s": 3.9 * seconds.ravel(),
        "machine_cpu_s": 4.1 * seconds.ravel(),
    }
    many = len(PHASES) * len(DOMAINS)
    energies = {
        "phase": _cycle(np.repeat(PHASES, len(DOMAINS)), count),
        "domain": _cycle(DOMAINS, count * len(PHASES)),
        "source": _cycle(["powercap"], count * many),
        "provenance": _cycle(["measured"], count * many),
        "joules": rng.uniform(1, 3000, count * many),
        "reason": pa.nulls(count * many, pa.string()),
    }
    latencies = rng.integers(30_000_000, 36_000_000, int(ok.sum()) * LATENCIES)
    return {
        "phases": _structs(PHASE_TYPE, phases, len(PHASES)),
        "energies": _structs(ENERGY_TYPE, energies, many),
        "latencies_ns": pa.ListArray.from_arrays(offsets(np.where(ok, LATENCIES, 0)), latencies, mask=pa.array(~ok)),
        "readings": _readings(start_ns, rng),
    }


def _readings(start_ns: NDArray[Any], rng: np.random.Generator) -> pa.Array:
    """Make counters, which grow in steps of their source's resolution, and gauges; channels of a source share times."""
    shape = (len(start_ns), len(CHANNELS), READINGS_A_CHANNEL)
    sources = np.unique([source for _, _, source in CHANNELS.values()], return_inverse=True)[1]
    steps = 1_200_000_000 + rng.integers(-40_000, 40_000, shape)[:, sources]
    times = start_ns[:, None, None] + np.cumsum(steps, axis=2)
    ticks = rng.integers(1, 13, shape)
    values = np.empty(shape)
    for number, (unit, kind, _) in enumerate(CHANNELS.values()):
        step = {"s": 0.01, "uJ": 61.0 * 9973, "bytes": 4096.0, "degC": 1.0}[unit]
        drawn = ticks[:, number] + rng.integers(10_000, size=(len(start_ns), 1)) % (70 if unit == "degC" else 10_000)
        values[:, number] = np.round(step * (np.cumsum(drawn, axis=1) if kind == "counter" else drawn), 2)
    series = {
        "channel": _cycle(list(CHANNELS), len(start_ns)),
        "unit": _cycle([unit for unit, _, _ in CHANNELS.values()], len(start_ns)),
        "kind": _cycle([kind for _, kind, _ in CHANNELS.values()], len(start_ns)),
        "source": _cycle([source for _, _, source in CHANNELS.values()], len(start_ns)),
        "t_ns": _lists(times),
        "value": _lists(values),
    }
    return _structs(READINGS_TYPE, series, len(CHANNELS))


def _lists(values: NDArray[Any]) -> pa.Array:
    lengths = np.full(values.shape[0] * values.shape[1], values.shape[2])
    return pa.ListArray.from_arrays(offsets(lengths), pa.array(values.ravel()))


def _structs(kind: pa.StructType, fields: Mapping[str, Any], each: int) -> pa.Array:
    """Return an array with a list of `each` structs in every row."""
    arrays = [pa.array(fields[field.name], field.type) for field in kind]
    structs = pa.StructArray.from_arrays(arrays, fields=list(kind))
    return pa.ListArray.from_arrays(offsets(np.full(len(structs) // each, each)), structs)


def _cycle(texts: Sequence[str] | NDArray[Any], times: int) -> pa.Array:
    return pa.array(np.tile(np.asarray(texts), times), pa.string())


def offsets(lengths: NDArray[Any]) -> pa.Array:
    """Return the offsets of lists of such `lengths`, as Arrow has them."""
    return pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
