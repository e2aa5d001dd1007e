"""The time until a large store is ready for a coordinator, and the time to compact it.

Ready: a new process has opened the store for writing and knows every finished attempt, measured from its
start to its end. Each attempt has 1,300 readings and 500 latencies and was written as an agent writes it. The
files were written just before, so they are in the page cache.

The peer is a loop of pyarrow over the loose files, as a reader of pyarrow's documentation would write it: of
the same columns for the start, of all columns into one file for the compaction. Both take turns.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median

from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.processes import JOULEFLEET, Finished, run_apart, run_measured
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.store.generated_store import DIFFERENT, STUDY, make_store, templates, write_compacted, write_loose
from joulefleet.store.layout import StoreLayout

LOOSE = 20_000
COMPACTED = 100_000
ROUNDS = 3

PEER = "a loop of pyarrow"
LOOSE_TIMES = 0.6
COMPACTED_TIMES = 0.2
"""Start with 100,000 compacted attempts, in multiples of the loop over 20,000 loose ones."""
COMPACTION_TIMES = 0.35
COMPACTION_MEMORY_GB = 1.0

READY = """
import sys
from pathlib import Path
from coordinator.store.attempts import facts_in
from coordinator.store.writer import open_store

root, study, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with open_store(root, study=study):
    assert len(facts_in(root, study)) == count
"""

PEER_READY = """
import sys
from pathlib import Path
import pyarrow.parquet as pq

columns = ["trial_id", "attempt", "status", "window_s", "passes", "wall_s", "started_at", "flags"]
rows = [pq.ParquetFile(path).read(columns=columns).to_pylist()[0] for path in Path(sys.argv[1], "attempts").iterdir()]
assert len(rows) == int(sys.argv[3])
"""

PEER_COMPACT = """
import sys
from pathlib import Path
import pyarrow as pa
import pyarrow.parquet as pq

step, target = int(sys.argv[4]), sys.argv[5]
paths = sorted(Path(sys.argv[1], "attempts").iterdir())[::step]
writer = None
for start in range(0, len(paths), 256):
    table = pa.concat_tables(pq.ParquetFile(path).read() for path in paths[start : start + 256])
    writer = writer or pq.ParquetWriter(target, table.schema, compression="zstd")
    writer.write_table(table)
writer.close()
"""

PEER_PART = 10
"""Fraction of the files that the peer compacts, as it takes minutes: every tenth; its figures are multiplied."""


def python(text: str, root: Path, count: int, *more: object) -> Finished:
    """Run a Python program about the store at `root`, and print its cost."""
    return shown(run_measured([sys.executable, "-c", text, str(root), STUDY, str(count), *map(str, more)]))


def shown(finished: Finished) -> Finished:
    """Print what a process used, and return it."""
    print(
        f"  {finished.wall_s:7.2f} s, {finished.cpu_s:7.2f} s of CPU, {finished.peak_memory_gb:.2f} GB",
        file=sys.stderr,
    )
    return finished


def median_s(runs: Sequence[Finished]) -> float:
    """Return the median of their wall times, seconds."""
    return median(finished.wall_s for finished in runs)


def generate(folder: Path, loose: int, compacted: int, different: int) -> None:
    """Make both stores in `folder`."""
    files = templates(different)
    write_compacted(make_store(folder / "compacted"), files, compacted)
    write_loose(make_store(folder / "loose"), files, loose)
    os.sync()


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Generate both stores, and measure Joulefleet and the peer in turn."""
    loose, compacted = run.size(LOOSE, 40), run.size(COMPACTED, 100)
    part = run.size(PEER_PART, 2)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("generating ...", file=sys.stderr)
        run_apart(generate, folder, loose, compacted, run.size(DIFFERENT, 10))
        large, many = StoreLayout(folder / "compacted"), StoreLayout(folder / "loose")
        ready_compacted, ready_loose, peer_ready = [], [], []
        for _ in range(run.size(ROUNDS, 1)):
            print(f"ready with {compacted} compacted; with {loose} loose; the peer with {loose} loose", file=sys.stderr)
            ready_compacted.append(python(READY, large.root, compacted))
            ready_loose.append(python(READY, many.root, loose))
            peer_ready.append(python(PEER_READY, many.root, loose))
        target = folder / "peer.parquet"
        print(f"compact, 1 of {part} files by the peer before and after", file=sys.stderr)
        # Compaction removes the loose files: afterwards the peer reads other links to some of them.
        later = StoreLayout(folder / "later")
        later.attempts.mkdir(parents=True)
        for path in sorted(many.attempts.iterdir())[part // 2 :: part]:
            os.link(path, later.attempts / path.name)
        peer_compact = [python(PEER_COMPACT, many.root, loose, part, target)]
        compact = shown(run_measured([JOULEFLEET, "compact", "--store", str(many.root)]))
        peer_compact.append(python(PEER_COMPACT, later.root, loose, 1, target))
        size = sum(path.stat().st_size for path in many.compacted.iterdir())
        print(
            f"bytes an attempt: {size / loose:.0f}; {PEER} {part * target.stat().st_size / loose:.0f}", file=sys.stderr
        )
    peer_ready_s = median_s(peer_ready)
    return [
        ratio("resume_20000_loose", median_s(ready_loose), peer_ready_s, peer=PEER, unit="s", bound=LOOSE_TIMES),
        ratio(
            "resume_100000_compacted",
            median_s(ready_compacted),
            peer_ready_s,
            peer=f"{PEER} over 20,000 loose",
            unit="s",
            bound=COMPACTED_TIMES,
        ),
        ratio(
            "compact_20000",
            compact.wall_s,
            part * mean(finished.wall_s for finished in peer_compact),
            peer=PEER,
            unit="s",
            bound=COMPACTION_TIMES,
        ),
        Figure(
            benchmark="compact_20000_memory",
            value=compact.peak_memory_gb,
            unit="GB",
            bound=COMPACTION_MEMORY_GB,
            peers={PEER: max(finished.peak_memory_gb for finished in peer_compact)},
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark))
