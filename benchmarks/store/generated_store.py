"""Generated stores for benchmarks: a few thousand different attempts, each under several ids."""

from __future__ import annotations

import hashlib
import io
import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from agent.state.outbox import parquet_bytes
from joulefleet.schema import COLUMNS
from joulefleet.store.compaction import FILE_ROWS
from joulefleet.store.layout import StoreLayout, format_bytes
from joulefleet.store.manifest import Manifest, manifest_bytes
from joulefleet.store.row_groups import GROUP_ROWS, write_groups
from joulefleet.versions import SCHEMA_VERSION

STUDY = "generated"
CHANNELS = 13
READINGS = 1300
LATENCIES = 500
DIFFERENT = 2000
"""Number of rows that differ in every value; more of them take minutes to generate and change no figure."""

_PLACEHOLDER = "0123456789abcdef0123"


def make_store(root: Path) -> StoreLayout:
    """Make an empty store at `root`."""
    layout = StoreLayout(root)
    for folder in (layout.attempts, layout.studies, layout.compacted, layout.manifest):
        folder.mkdir(parents=True)
    layout.format_file.write_bytes(format_bytes(STUDY))
    return layout


def templates(count: int = DIFFERENT) -> list[bytes]:
    """Return the files of `count` attempts as an agent writes them, all under one id."""
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(template, range(count), chunksize=50))


def write_loose(layout: StoreLayout, files: Sequence[bytes], count: int) -> None:
    """Write `count` attempts, each into a file of its own."""
    for number, trial_id in enumerate(trial_ids(count)):
        data = files[number % len(files)].replace(_PLACEHOLDER.encode(), trial_id.encode())
        (layout.attempts / f"{trial_id}-r1-a1.parquet").write_bytes(data)
    table = pq.read_table(layout.attempts / f"{trial_id}-r1-a1.parquet", columns=["trial_id", "attempt_id"])
    if table.to_pylist() != [{"trial_id": trial_id, "attempt_id": f"{trial_id}-r1-a1"}]:
        raise SystemExit("the ids of a file cannot be replaced in its bytes")


def write_compacted(layout: StoreLayout, files: Sequence[bytes], count: int) -> None:
    """Write `count` attempts into compacted files, as compaction would."""
    rows = pa.concat_tables([pq.ParquetFile(pa.BufferReader(data)).read() for data in files])
    groups = [rows.slice(start, GROUP_ROWS).combine_chunks() for start in range(0, len(files), GROUP_ROWS)]
    ids = sorted(trial_ids(count))
    for start in range(0, count, FILE_ROWS):
        write_file(layout, _named(groups, ids[start : start + FILE_ROWS]))


def write_file(layout: StoreLayout, groups: Iterable[pa.Table]) -> None:
    """Write `groups` into one compacted file with its manifest, as compaction would."""
    out = io.BytesIO()
    ids, _ = write_groups(out, groups)
    digest = hashlib.sha256(out.getbuffer()).hexdigest()
    file = f"{digest[:20]}.parquet"
    (layout.compacted / file).write_bytes(out.getbuffer())
    manifest = Manifest(file=file, size_bytes=out.tell(), sha256=digest, attempts=tuple(ids), replaces=())
    (layout.manifest / manifest.name).write_bytes(manifest_bytes(manifest))


def trial_ids(count: int) -> list[str]:
    """Return `count` trial ids. They are in no order, as digests are."""
    return [hashlib.blake2b(str(number).encode(), digest_size=10).hexdigest() for number in range(count)]


def _named(groups: Sequence[pa.Table], trials: Sequence[str]) -> Iterator[pa.Table]:
    """Yield groups in turn until each of `trials` has a row, with its id in place of the template's."""
    done = 0
    while done < len(trials):
        group = groups[(done // GROUP_ROWS) % len(groups)].slice(0, len(trials) - done)
        ids = trials[done : done + group.num_rows]
        for name, texts in (("trial_id", ids), ("attempt_id", [f"{trial}-r1-a1" for trial in ids])):
            index = group.schema.get_field_index(name)
            group = group.set_column(index, group.schema.field(index), pa.array(texts))
        yield group
        done += group.num_rows


def template(number: int) -> bytes:
    """Return the file of attempt `number`, with values drawn from that seed and a placeholder for its id."""
    rng = Random(number)
    row: dict[str, Any] = dict.fromkeys(column.name for column in COLUMNS)
    row |= {
        "schema_version": SCHEMA_VERSION,
        "study": STUDY,
        "trial_id": _PLACEHOLDER,
        "attempt_id": f"{_PLACEHOLDER}-r1-a1",
        "kind": "trial",
        "attempt": 1,
        "round": 1,
        "place": "machine",
        "protocol": "protocol",
        "machine": "bench",
        "machine_id": "machine",
        "cpu_model": "Generated CPU",
        "model": rng.choice(["bert", "distilbert", "gpt2", "distilgpt2"]),
        "task": rng.choice(["sst2", "stsb", "mnli"]),
        "batch_size": 1,
        "threads_requested": 0,
        "dtype": "float32",
        "environment": "bare",
        "repetition": 1 + number // 12,
        "block": 1 + number // 12,
        "position": 1 + number % 12,
        "labels": {},
        "status": "ok",
        "flags": [],
        "started_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=70 * number),
        "boot_id": "boot",
        "wall_s": rng.uniform(69, 71),
        "window_s": rng.uniform(59, 61),
        "passes": 100,
        "items": 6400,
        "energy_j": rng.uniform(2000, 3000),
        "phases": [],
        "energies": [
            {
                "phase": phase,
                "domain": domain,
                "source": "powercap",
                "provenance": "measured",
                "joules": rng.uniform(1, 3000),
                "reason": None,
            }
            for phase in ("baseline", "load", "warm_up", "window")
            for domain in ("package-0", "core", "dram", "psys")
        ],
        "latencies_ns": array("q", (rng.randrange(30_000_000, 36_000_000) for _ in range(LATENCIES))),
        "readings": [_channel(rng, channel) for channel in range(CHANNELS)],
    }
    return parquet_bytes(row)


def _channel(rng: Random, number: int) -> dict[str, Any]:
    """Make a counter that grows by hundredths, or a gauge in whole pages; both are read ten times a second."""
    times, values = array("q"), array("d")
    now, value = rng.randrange(10**14, 10**15), rng.uniform(0, 1000)
    for _ in range(READINGS // CHANNELS):
        now += 100_000_000 + rng.randrange(-40_000, 40_000)
        value = round(value + rng.randrange(12) / 100, 2) if number % 2 else 4096.0 * rng.randrange(70_000, 71_000)
        times.append(now)
        values.append(value)
    kind = "counter" if number % 2 else "gauge"
    return {"channel": f"channel_{number}", "unit": "s", "kind": kind, "source": "proc", "t_ns": times, "value": values}
