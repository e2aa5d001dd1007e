"""The time a large store takes to answer: every shipped example query, a comparison, and pandas on the same files.

The store is a finished study of 100,000 trials on 1,042 machines, with 30 million readings and as many
latencies, compacted. Each question is asked in a process of its own, which opens the store as `joulefleet sql`
does. Its first answer counts, up to the last row; three more show how much of it was the start.

The peer is pandas on the same files. It answers three of the questions itself, in turn with Joulefleet, each
timed from before a file is opened. The shipped queries, which it does not know, are held against its
answer about the same tables. The files were written just before, so they are in the page cache.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.processes import function_command, run_apart, run_measured
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.store.generated_fleet import TRIALS_A_MACHINE, machines_of, write_fleet
from benchmarks.store.generated_nested import LATENCIES, READINGS
from benchmarks.store.generated_store import make_store

TRIALS = 100_000
MEMORY_GB = 4.0
ROUNDS = 3
REPEATS = 3
"""Further answers of one process."""
SLOW_S = 10.0
"""An answer that takes longer is asked for once, seconds."""

SHIPPED = {"trials": ("cells", 1.0), "readings": ("channels", 0.5), "compare": ("pairs", 17.0)}
"""Kinds of shipped questions: the question that pandas is asked about the same tables, and the largest ratio.

The ratios, and those below, stand for 0.5 s, 3 s and 10 s on a quiet machine (and one second more to open the store),
where pandas needs 0.5 s of CPU for `cells`, 0.58 s for `pairs` and 6 s for `channels`.
"""

OPENED_AND_ANSWERED = {"cells": 3.0, "pairs": 2.6, "channels": 0.67}
"""Questions that both are asked, and the largest ratio."""

QUESTIONS = {
    "cells": """
        SELECT model, task, median(window_s / items), median(energy_j / items)
        FROM trials WHERE status = 'ok' GROUP BY model, task""",
    "pairs": """
        SELECT pair, t.task, exp(avg(ln(s.window_s / t.window_s)))
        FROM pairs AS p
        JOIN trials AS t ON t.model = teacher AND t.status = 'ok'
        JOIN trials AS s ON s.model = student AND s.status = 'ok'
            AND s.machine_id = t.machine_id AND s.task = t.task AND s.block = t.block
        GROUP BY pair, t.task""",
    "channels": "SELECT channel, avg(value) FROM readings GROUP BY channel",
}
"""The same questions in SQL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How one process answered one question: seconds of wall time and of CPU time."""

    open_s: float
    first_s: float
    first_cpu_s: float
    again_s: float | None
    rows: int
    memory_gb: float = 0.0

    @property
    def total_s(self) -> float:
        """Time from the first file that is opened to the last row."""
        return self.open_s + self.first_s


def ask(kind: str, name: str, root: Path) -> Answer:
    """Return the answer of a process of its own, and print its cost."""
    finished = run_measured(function_command("benchmarks.store.warehouse:print_answer", kind, name, root))
    answer = Answer(**(json.loads(finished.output) | {"memory_gb": finished.peak_memory_gb}))
    again = "" if answer.again_s is None else f", then {answer.again_s:6.3f} s"
    print(
        f"  {kind:9} {name:28} opened in {answer.open_s:5.2f} s, {answer.first_s:7.3f} s "
        f"({answer.first_cpu_s:7.3f} s of CPU){again}; {answer.rows:8} rows, {answer.memory_gb:.2f} GB",
        file=sys.stderr,
    )
    return answer


def print_answer(kind: str, name: str, root: str) -> None:
    """Answer a question in this process, and print its cost as JSON."""
    print(json.dumps(asdict(answered(kind, name, Path(root)))))


def answered(kind: str, name: str, root: Path) -> Answer:
    """Return the answer of this process. kind: `example`, `compare`, `joulefleet` or `pandas`."""
    start = time.perf_counter()
    opened, repeats = start, 0
    if kind == "pandas":
        table = PANDAS[name]
        work: Callable[[], int] = lambda: len(table(root))  # noqa: E731 - one of three kinds of work
    else:
        from joulefleet.compare.compare import compare
        from joulefleet.query.shipped_sql import example
        from joulefleet.query.store import Store

        start = time.perf_counter()
        store = Store.open(root)
        opened = time.perf_counter()
        if kind == "compare":
            work = lambda: len(compare(store).findings)  # noqa: E731 - see above
        else:
            query, repeats = QUESTIONS[name] if kind == "joulefleet" else example(name).sql, REPEATS
            work = lambda: sum(batch.num_rows for batch in store.batches(query)[1])  # noqa: E731 - see above
    begun, begun_cpu = time.perf_counter(), time.process_time()
    rows = work()
    first_s, first_cpu_s = time.perf_counter() - begun, time.process_time() - begun_cpu
    times = [_seconds(work) for _ in range(repeats if first_s < SLOW_S else 0)]
    return Answer(
        open_s=opened - start,
        first_s=first_s,
        first_cpu_s=first_cpu_s,
        again_s=median(times) if times else None,
        rows=rows,
    )


def _seconds(work: Callable[[], int]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _accepted(root: Path, columns: Sequence[str]) -> Any:
    """Read the ok trials with pandas; of a trial with several attempts, the one that was ok."""
    import pandas as pd

    frame = pd.read_parquet(root / "compacted", columns=["trial_id", "attempt", "kind", "status", *columns])
    frame = frame[(frame["kind"] == "trial") & (frame["status"] == "ok")]
    return frame.sort_values("attempt").drop_duplicates("trial_id")


def _cells(root: Path) -> Any:
    frame = _accepted(root, ["model", "task", "window_s", "items", "energy_j"])
    frame["s"], frame["j"] = frame["window_s"] / frame["items"], frame["energy_j"] / frame["items"]
    return frame.groupby(["model", "task"])[["s", "j"]].median()


def _pairs(root: Path) -> Any:
    import numpy as np
    import pandas as pd

    frame = _accepted(root, ["model", "task", "machine_id", "block", "window_s"])
    record = json.loads(next((root / "studies").iterdir()).read_text(encoding="utf-8"))
    merged_pairs = []
    for pair in record["comparands"]:
        arms = [frame[frame["model"] == pair[arm]] for arm in ("teacher", "student")]
        merged_pairs.append(arms[0].merge(arms[1], on=["machine_id", "task", "block"], suffixes=("", "_s")))
        merged_pairs[-1]["pair"] = pair["name"]
    merged = pd.concat(merged_pairs)
    merged["log"] = np.log(merged["window_s_s"] / merged["window_s"])
    return np.exp(merged.groupby(["pair", "task"])["log"].mean())


def _channels(root: Path) -> Any:
    import numpy as np
    import pandas as pd

    frame = pd.read_parquet(root / "compacted", columns=["trial_id", "attempt", "readings"])
    frame = frame.sort_values("attempt").drop_duplicates("trial_id", keep="last")
    series = frame["readings"].explode().dropna()
    named = pd.DataFrame({"channel": [one["channel"] for one in series], "value": [one["value"] for one in series]})
    return named.groupby("channel")["value"].apply(lambda values: np.concatenate(values.to_numpy()).mean())


PANDAS: dict[str, Callable[[Path], Any]] = {"cells": _cells, "pairs": _pairs, "channels": _channels}


def generate(root: Path, trials: int) -> None:
    """Make the store at `root`."""
    write_fleet(make_store(root), trials)
    os.sync()


def shipped() -> dict[str, list[str]]:
    """Return the shipped queries by the tables they read: readings and latencies, or trials alone."""
    from joulefleet.query.shipped_sql import examples

    by_kind: dict[str, list[str]] = {"trials": [], "readings": []}
    for one in examples():
        by_kind["readings" if re.search(r"\b(readings|latencies)\b", one.sql) else "trials"].append(one.name)
    return by_kind


def measured(root: Path, run: BenchmarkRun) -> list[Figure]:
    """Ask the store at `root` every question."""
    shipped_answers = {
        kind: [ask("example", name, root) for name in run.size(names, names[:1])] for kind, names in shipped().items()
    }
    shipped_answers["compare"] = [ask("compare", "every pair", root)]
    answers: dict[str, list[tuple[Answer, Answer]]] = {}
    for _ in range(run.size(ROUNDS, 1)):
        for name in QUESTIONS:
            answers.setdefault(name, []).append((ask("joulefleet", name, root), ask("pandas", name, root)))
    own_s = {name: median(own.total_s for own, _ in both) for name, both in answers.items()}
    pandas_s = {name: median(pandas.total_s for _, pandas in both) for name, both in answers.items()}
    figures = [
        ratio(
            f"warehouse_{kind}",
            max(answer.first_s for answer in shipped_answers[kind]),
            pandas_s[question],
            peer=f"pandas answering `{question}`",
            unit="s",
            bound=bound,
        )
        for kind, (question, bound) in SHIPPED.items()
    ]
    figures += [
        ratio(
            f"warehouse_{name}_opened_and_answered", own_s[name], pandas_s[name], peer="pandas", unit="s", bound=bound
        )
        for name, bound in OPENED_AND_ANSWERED.items()
    ]
    memory = max(answer.memory_gb for several in shipped_answers.values() for answer in several)
    pandas_memory = max(pandas.memory_gb for both in answers.values() for _, pandas in both)
    return [
        *figures,
        Figure(benchmark="warehouse_memory", value=memory, unit="GB", bound=MEMORY_GB, peers={"pandas": pandas_memory}),
    ]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this program."""
    parser.add_argument("--trials", type=int, default=TRIALS, help="at least so many trials (default: %(default)s)")


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Generate the store, and ask it every question."""
    wanted = run.size(run.options.trials, 300)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        start = time.perf_counter()
        run_apart(generate, root, wanted)
        size = sum(path.stat().st_size for path in (root / "compacted").iterdir())
        machines = machines_of(wanted)
        trials = TRIALS_A_MACHINE * machines
        print(
            f"{trials} trials on {machines} machines, {READINGS * trials / 1e6:.1f} million readings, "
            f"about {LATENCIES * trials / 1e6:.1f} million latencies: {size / 1e6:.0f} MB, generated in "
            f"{time.perf_counter() - start:.0f} s",
            file=sys.stderr,
        )
        return measured(root, run)


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark, add_options=add_options))
