"""A generated store of a large fleet: a finished study, compacted, made column by column.

The study is the shipped `cain2024` without its proofs: 12 cells in 8 blocks on each machine. The machines have
twenty CPU models; models and machines differ in their speed and in the savings of distillation. Of a thousand
trials 20 are flagged, 5 failed once and were measured at the second attempt, and 5 failed twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.store.generated_nested import nested, offsets
from benchmarks.store.generated_store import write_file
from joulefleet.digest import digest
from joulefleet.plan.expand import cells, comparands, passes_key
from joulefleet.plan.trial import trial_id
from joulefleet.schema import ATTEMPT_SCHEMA
from joulefleet.store.compaction import FILE_ROWS
from joulefleet.store.layout import StoreLayout
from joulefleet.store.records import ComparandRecord, StudyRecord
from joulefleet.store.row_groups import GROUP_ROWS
from joulefleet.study.load import load_study, study_to_json
from joulefleet.study.spec import Proofs, Study
from joulefleet.versions import SCHEMA_VERSION

BLOCKS = 8
TRIALS_A_MACHINE = 12 * BLOCKS
CPU_MODELS = 20
ITEMS = 6400

_SECONDS_AN_ITEM = {"bert": 9.6e-3, "distilbert": 4.8e-3, "gpt2": 9.9e-3, "distilgpt2": 5.1e-3}
_MEMORY = {"bert": 468_000_000, "distilbert": 297_000_000, "gpt2": 521_000_000, "distilgpt2": 348_000_000}
_STARTED_S = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
_SECONDS_A_TRIAL = 110

Rows = Mapping[str, NDArray[Any]]
"""Values from which the columns of some attempts are made: by name, one value an attempt."""


def fleet_study() -> Study:
    """Return the study of the fleet."""
    return replace(load_study("cain2024")[0], name="fleet", repetitions=BLOCKS, proofs=Proofs())


def machines_of(trials: int) -> int:
    """Return the number of machines that together run at least `trials` trials."""
    return max(3, ceil(trials / TRIALS_A_MACHINE))


def write_fleet(layout: StoreLayout, trials: int) -> int:
    """Write at least `trials` trials into the empty store at `layout`; return their number."""
    study = fleet_study()
    machines = [digest(f"machine {number}") for number in range(machines_of(trials))]
    _write_study(layout, study, machines)
    rows = _attempts(study, machines)
    order = np.argsort(rows["attempt_id"])
    rng = np.random.default_rng(study.seed)
    for start in range(0, len(order), FILE_ROWS):
        write_file(layout, _groups(study, machines, rows, order[start : start + FILE_ROWS], rng))
    return len(machines) * TRIALS_A_MACHINE


def _write_study(layout: StoreLayout, study: Study, machines: Sequence[str]) -> None:
    names = tuple((name, f"node-{number:04}") for number, name in enumerate(machines))
    record = StudyRecord(
        definition=study_to_json(study),
        machines=names,
        places=names,
        comparands=tuple(ComparandRecord(**asdict(comparand)) for comparand in comparands(study)),
        requested_at=datetime.fromtimestamp(_STARTED_S, tz=UTC),
    )
    (layout.studies / f"{study.name}-{record.digest}.json").write_bytes(record.to_json())


def _attempts(study: Study, machines: Sequence[str]) -> Rows:
    """Draw every attempt: the numbers of its machine, cell and block, and how it ended."""
    planned = cells(study)
    protocols = [digest(["protocol", str(cell)]) for cell in planned]
    rng = np.random.default_rng([study.seed, 1])
    machine, block, cell = (
        part.ravel() for part in np.meshgrid(range(len(machines)), range(BLOCKS), range(len(planned)), indexing="ij")
    )
    position = np.concatenate([rng.permutation(len(planned)) for _ in range(len(machines) * BLOCKS)])
    trial = np.array(
        [
            trial_id(study=study.name, cell=planned[c], repetition=int(b) + 1, place=machines[m], protocol=protocols[c])
            for m, b, c in zip(machine, block, cell, strict=True)
        ]
    )
    fate = rng.integers(1000, size=len(trial))
    again = np.flatnonzero(fate < 10)
    index = np.concatenate([np.arange(len(trial)), again])
    attempt = np.concatenate([np.ones(len(trial), int), np.full(len(again), 2)])
    ok = (fate[index] >= 10) | ((attempt == 2) & (fate[index] < 5))
    return {
        "machine": machine[index],
        "block": block[index],
        "cell": cell[index],
        "position": position[index],
        "trial_id": trial[index],
        "attempt": attempt,
        "attempt_id": np.array([f"{trial[n]}-r1-a{a}" for n, a in zip(index, attempt, strict=True)]),
        "ok": ok,
        "flagged": ok & (fate[index] >= 980),
    }


def _groups(
    study: Study, machines: Sequence[str], rows: Rows, chosen: NDArray[Any], rng: np.random.Generator
) -> Iterator[pa.Table]:
    for start in range(0, len(chosen), GROUP_ROWS):
        part = {name: values[chosen[start : start + GROUP_ROWS]] for name, values in rows.items()}
        yield _table(_columns(study, machines, part, rng), len(part["ok"]))


def _table(columns: Mapping[str, Any], count: int) -> pa.Table:
    """Return `columns` as a table: a single value is repeated for every attempt, a missing column is null."""
    made = []
    for field in ATTEMPT_SCHEMA:
        value = columns.get(field.name)
        if isinstance(value, np.ndarray | pa.Array):
            made.append(pa.array(value, field.type))
        else:
            made.append(pa.repeat(pa.scalar(value, field.type), count))
    return pa.table(made, schema=ATTEMPT_SCHEMA)


def _columns(study: Study, machines: Sequence[str], rows: Rows, rng: np.random.Generator) -> dict[str, Any]:
    return {**_CONSTANT} | _identity(study, machines, rows) | _values(study, rows, rng) | nested(rows["ok"], rng)


def _identity(study: Study, machines: Sequence[str], rows: Rows) -> dict[str, Any]:
    planned = cells(study)
    machine, cell, block = rows["machine"], rows["cell"], rows["block"]
    groups = [digest([str(part) for part in passes_key(study, one)]) for one in planned]
    started_s = _STARTED_S + _SECONDS_A_TRIAL * (12 * block + rows["position"]) + 7 * machine + 60 * rows["attempt"]
    cpu_model = machine % CPU_MODELS
    return {
        "study": study.name,
        "trial_id": rows["trial_id"],
        "attempt_id": rows["attempt_id"],
        "attempt": rows["attempt"],
        "place": np.array(machines)[machine],
        "protocol": np.array([digest(["protocol", str(one)]) for one in planned])[cell],
        "machine": np.array([f"node-{number:04}" for number in machine]),
        "machine_id": np.array(machines)[machine],
        "cpu_model": np.array([f"Generated CPU {number} @ 2.60GHz" for number in cpu_model]),
        "environment_id": np.array([f"{number:020x}" for number in cpu_model]),
        "kernel": np.array([f"6.1.{number}-generic" for number in cpu_model]),
        "microcode": np.array([f"0x{number:08x}" for number in cpu_model]),
        "physical_cores": 8 + 4 * (cpu_model % 5),
        "logical_cpus": 16 + 8 * (cpu_model % 5),
        "frequency_max_mhz": 3000.0 + 100 * cpu_model,
        "boot_id": np.array([digest(f"boot {number}") for number in machine]),
        "regime": study.regime,
        "repetition": block + 1,
        "block": block + 1,
        "position": rows["position"] + 1,
        "predecessor": np.array([str(one) for one in planned])[(cell + 5) % len(planned)],
        "comparison_group": np.array(groups)[cell],
        "comparison_group_size": np.array([groups.count(group) for group in groups])[cell],
        "model": np.array([one.model for one in planned])[cell],
        "task": np.array([one.task for one in planned])[cell],
        "status": np.where(rows["ok"], "ok", "failed"),
        "reason": pa.array(np.full(len(cell), "timeout"), mask=rows["ok"]),
        "message": pa.array(np.full(len(cell), "no window after 600 s"), mask=rows["ok"]),
        "started_at": pa.array(started_s * 1_000_000, pa.int64()).cast(ATTEMPT_SCHEMA.field("started_at").type),
    }


def _values(study: Study, rows: Rows, rng: np.random.Generator) -> dict[str, Any]:
    """Draw the measured values. Effects of a machine depend on its number alone: they are the same in every part."""
    planned = cells(study)
    machine, cell = rows["machine"], rows["cell"]
    speed = np.exp(0.2 * np.sin(machine % CPU_MODELS) + 0.03 * np.sin(31.7 * machine))
    small = np.array([one.model.startswith("distil") for one in planned])[cell]
    saved = np.exp(small * (0.05 * np.cos(machine % CPU_MODELS) + 0.03 * np.cos(17.3 * machine)))
    item_s = np.array([_SECONDS_AN_ITEM[one.model] for one in planned])[cell]
    window_s = ITEMS * item_s * speed * saved * rng.lognormal(0, 0.02, len(cell))
    memory = np.array([_MEMORY[one.model] for one in planned])[cell]
    watts = (25 + 2 * (machine % CPU_MODELS)) * rng.lognormal(0, 0.02, len(cell))
    dram = (machine % CPU_MODELS) % 2 == 0
    peak = memory + 4096 * rng.integers(2000, size=len(cell))
    measured: dict[str, Any] = {
        "wall_s": window_s + 40,
        "window_s": window_s,
        "work_s": window_s - 1e-4,
        "items": ITEMS,
        "tokens": 25 * ITEMS,
        "padded_tokens": 25 * ITEMS,
        "threads": 8,
        "energy_source": "powercap",
        "energy_provenance": "measured",
        "sysfs_root": "/sys",
        "baseline_s": 2.0,
        "steal_s": 0.0,
        "energy_j": watts * window_s * np.where(dram, 1.1, 1.0),
        "energy_scope": np.where(dram, "package+dram", "package"),
        "energy_package_j": watts * window_s,
        "baseline_j": watts * rng.uniform(1.9, 2.1, len(cell)),
        "cpu_percent": 100 * rng.uniform(3.9, 4.0, len(cell)),
        "cpu_seconds": 4 * window_s * rng.lognormal(-0.02, 0.005, len(cell)),
        "observer_cpu_s": rng.uniform(0.1, 0.2, len(cell)),
        "foreign_cpu_s": rng.uniform(0.1, 0.4, len(cell)),
        "temperature_max_c": rng.integers(50, 80, len(cell)).astype(float),
        "frequency_mean_mhz": rng.uniform(2400, 2600, len(cell)),
        "pressure_cpu_s": rng.uniform(0, 0.1, len(cell)),
        "base_rss_bytes": 300_000_000 + 4096 * rng.integers(100, size=len(cell)),
        "peak_rss_bytes": 300_000_000 + peak,
        "mean_rss_bytes": 290_000_000 + peak,
        "work_peak_bytes": peak,
        "latency_p50_s": window_s / ITEMS,
        "latency_p90_s": 1.1 * window_s / ITEMS,
        "latency_p99_s": 1.3 * window_s / ITEMS,
        "load_s": rng.uniform(0.4, 0.6, len(cell)),
        "load_energy_j": rng.uniform(10, 30, len(cell)),
        "weights_digest": np.array([digest(["weights", one.model]) for one in planned])[cell],
        "model_class": np.array([f"{one.model}ForSequenceClassification" for one in planned])[cell],
    }
    flags = np.where(rows["flagged"], 1, 0)
    texts = pa.array(np.full(flags.sum(), "not_steady"), pa.string())
    columns = {
        name: pa.array(np.broadcast_to(value, len(cell)), ATTEMPT_SCHEMA.field(name).type, mask=~rows["ok"])
        for name, value in measured.items()
    }
    return columns | {"flags": pa.ListArray.from_arrays(offsets(flags), texts)}


_CONSTANT: Mapping[str, Any] = {
    "schema_version": SCHEMA_VERSION,
    "kind": "trial",
    "round": 1,
    "sockets": 1,
    "memory_bytes": 64 << 30,
    "virtualised": False,
    "environment": "bare",
    "runtime": "none",
    "engine": "torch 2.13.0",
    "kernel_command_line": "BOOT_IMAGE=/vmlinuz root=UUID=0123 ro quiet",
    "os": "Debian GNU/Linux 12 (bookworm)",
    "governor": "performance",
    "turbo": True,
    "smt": True,
    "frequency_min_mhz": 800.0,
    "numa_nodes": 1,
    "energy_filter": False,
    "swap_bytes": 0,
    "blas": "mkl",
    "libraries": [("torch", "2.13.0"), ("transformers", "5.1.0"), ("tokenizers", "0.22.0")],
    "batch_size": 1,
    "threads_requested": 0,
    "dtype": "float32",
    "isolation": "warm",
    "assignment": "own",
    "labels": [],
    "weights_source": "seeded",
    "quality_reason": "the weights are seeded",
    "attention": "sdpa",
    "passes": 100,
    "item_repeats": 1,
    "privileges": "none",
    "nice": 0,
    "oom_score_adj": 0,
}
