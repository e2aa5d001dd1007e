"""How fast a large store is ready for a coordinator, and how fast it is compacted.

Ready: a new process has opened the store for writing and knows every finished attempt, from its start
to its end. Each attempt has 1,300 readings and 500 latencies and was written as an agent writes it. The
files were written just before, so they are in the page cache. The peer does by a loop over the files
what a reader of the documentation of pyarrow would.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness.reporting import Figure, finish
from benchmarks.store.generated_store import STUDY, make_store, templates, write_compacted, write_loose
from joulefleet.store.layout import StoreLayout

LOOSE = 20_000
COMPACTED = 100_000

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

paths = sorted(Path(sys.argv[1], "attempts").iterdir())[::int(sys.argv[5])]
writer = None
for start in range(0, len(paths), 256):
    table = pa.concat_tables(pq.ParquetFile(path).read() for path in paths[start : start + 256])
    writer = writer or pq.ParquetWriter(sys.argv[4], table.schema, compression="zstd")
    writer.write_table(table)
writer.close()
"""

PEER_PART = 10
"""The peer takes minutes: it compacts each tenth file, and its time is ten times that."""


def run(*command: str) -> tuple[float, float, float]:
    """Seconds of wall time, seconds of CPU time and GB of memory at its highest, of `command`."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[:2]} ended with {process.returncode}")
    cpu_s, memory_gb = used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9
    print(f"  {seconds:7.2f} s, {cpu_s:7.2f} s of CPU, {memory_gb:.2f} GB", file=sys.stderr)
    return seconds, cpu_s, memory_gb


def program(text: str, root: Path, count: int, *more: str) -> tuple[float, float, float]:
    """The same of a Python program about the store at `root`."""
    return run(sys.executable, "-c", text, str(root), STUDY, str(count), *more)


def generate(folder: Path) -> None:
    """Make both stores in `folder`."""
    files = templates()
    write_compacted(make_store(folder / "large"), files, COMPACTED)
    write_loose(make_store(folder / "many"), files, LOOSE)
    os.sync()


def main() -> int:
    """Generate both stores, and measure."""
    joulefleet = str(Path(sys.executable).with_name("joulefleet"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print("generating ...", file=sys.stderr)
        # In a process of its own: the memory of the one that starts a program counts as the program's.
        generator = multiprocessing.get_context("spawn").Process(target=generate, args=(folder,))
        generator.start()
        generator.join()
        if generator.exitcode:
            raise SystemExit(generator.exitcode)
        large, many = StoreLayout(folder / "large"), StoreLayout(folder / "many")
        print(f"ready, {COMPACTED} compacted", file=sys.stderr)
        ready_compacted, _, _ = program(READY, large.root, COMPACTED)
        print(f"ready, {LOOSE} loose; pyarrow", file=sys.stderr)
        ready_loose, _, _ = program(READY, many.root, LOOSE)
        peer_ready, _, _ = program(PEER_READY, many.root, LOOSE)
        print(f"a tenth by pyarrow; compact {LOOSE}", file=sys.stderr)
        peer_compact, _, peer_gb = program(PEER_COMPACT, many.root, LOOSE, str(folder / "peer.parquet"), str(PEER_PART))
        compact_s, _, compact_gb = run(joulefleet, "compact", "--store", str(many.root))
        size = sum(path.stat().st_size for path in many.compacted.iterdir())
        peer_size = (folder / "peer.parquet").stat().st_size
        print(f"bytes an attempt: {size / LOOSE:.0f}; pyarrow {PEER_PART * peer_size / LOOSE:.0f}", file=sys.stderr)
    peer = "a loop of pyarrow"
    return finish(
        [
            Figure(benchmark="resume_100000_compacted", value=ready_compacted, unit="s", bound=5.0),
            Figure(benchmark="resume_20000_loose", value=ready_loose, unit="s", bound=15.0, peers={peer: peer_ready}),
            Figure(
                benchmark="compact_20000", value=compact_s, unit="s", bound=40.0, peers={peer: PEER_PART * peer_compact}
            ),
            Figure(benchmark="compact_20000_memory", value=compact_gb, unit="GB", bound=1.0, peers={peer: peer_gb}),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
