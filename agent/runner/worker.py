"""The process of one request: the work of a trial with its marks, or the preparing of weights."""

from __future__ import annotations

import time
import traceback
from array import array
from pathlib import Path
from typing import Any

import torch
import transformers
from pydantic import TypeAdapter

from agent.runner.devices import Cuda, finish_work
from agent.runner.privileges import drop_privileges, effective, ordinary_priority
from agent.runner.protocol import Disconnected, LineSocket
from agent.workloads import PassCounts, PrepareRequest, Workload, WorkSpec
from agent.workloads.prepare import prepare
from agent.workloads.sequence_classification import SequenceClassification

_SPEC: TypeAdapter[WorkSpec] = TypeAdapter(WorkSpec)
_PREPARE: TypeAdapter[PrepareRequest] = TypeAdapter(PrepareRequest)

WARM_UP_CHUNK_S = 0.5
"""Warm-up passes are reported in chunks of at least so long: the agent reads its counters at each."""


def run(request: dict[str, Any], lines: LineSocket) -> int:
    """Do what `request` says. Returns the exit code of this process."""
    # A progress bar of loading writes to the output, in the load phase of every trial.
    transformers.utils.logging.disable_progress_bar()
    try:
        if request["do"] == "prepare":
            prepare(_PREPARE.validate_python(request["spec"]))
            lines.send({"mark": "done"})
        else:
            _work(_SPEC.validate_python(request["spec"]), int(request["passes"]), lines)
    except Disconnected:
        return 3
    except Exception as error:  # noqa: BLE001  # the work may raise anything; it is reported, with its traceback
        traceback.print_exc()
        lines.send({"mark": "error", "kind": _kind(error), "message": f"{type(error).__name__}: {error}"[:2000]})
        return 1
    return 0


def _kind(error: Exception) -> str:
    # torch says it with a RuntimeError of its allocator.
    out = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
    return "out_of_memory" if out else "exception"


def _work(spec: WorkSpec, passes: int, lines: LineSocket) -> None:
    ordinary_priority()
    # The library folder too: a cold interpreter still imports the model's code.
    needed = [spec.weights_folder, spec.items_file, spec.tokenizer_folder, transformers.__file__]
    privileges = drop_privileges([Path(path) for path in needed if path is not None])
    say = Marks(lines, torch.cuda)
    say("hello", privileges=privileges, **effective())
    workload: Workload = SequenceClassification(spec)
    counts = workload.make_items()
    say("items", items=counts.items, tokens=counts.tokens, padded_tokens=counts.padded_tokens)
    loaded = workload.load()
    say(
        "loaded",
        parameters=loaded.parameters,
        model_class=loaded.model_class,
        attention=loaded.attention,
        threads=loaded.threads,
        blas=loaded.blas,
    )
    _warm_up(workload, counts, say)
    latencies = array("q", bytes(8 * passes * counts.batches))
    views = [memoryview(latencies)[n * counts.batches : (n + 1) * counts.batches] for n in range(passes)]
    say("open")
    start = time.perf_counter_ns()
    for view in views:
        workload.run_pass(view)
    # The work's own stopwatch counts what the GPUs still do, as the mark after it does.
    say.finish_work()
    work_ns = time.perf_counter_ns() - start
    say("closed")
    labels_problem, labels = None, None
    try:
        labels = workload.labels()
    except ValueError as error:
        labels_problem = str(error)
    say.last(
        "done",
        work_ns=work_ns,
        latencies_ns=latencies.tolist(),
        predictions=workload.predictions() if labels is not None else None,
        labels=labels,
        labels_problem=labels_problem,
    )


def _warm_up(workload: Workload, counts: PassCounts, say: Marks) -> None:
    scratch = memoryview(array("q", bytes(8 * counts.batches)))
    while True:
        start, done = time.perf_counter(), 0
        while done == 0 or time.perf_counter() - start < WARM_UP_CHUNK_S:
            workload.run_pass(scratch)
            say.finish_work()
            done += 1
        if say("warmed", passes=done, seconds=time.perf_counter() - start) != "again":
            return


class Marks:
    """Says marks, each once the GPUs have done all that was asked of them before it."""

    def __init__(self, lines: LineSocket, cuda: Cuda) -> None:
        self._lines = lines
        self._cuda = cuda

    def finish_work(self) -> None:
        """Wait for the GPUs."""
        finish_work(self._cuda)

    def __call__(self, mark: str, **facts: object) -> object:
        """Say `mark`, and return the agent's answer to it. Raises Disconnected, Stranger."""
        self.last(mark, **facts)
        return self._lines.receive().get("go")

    def last(self, mark: str, **facts: object) -> None:
        """Say `mark`, to which there is no answer. Raises Disconnected."""
        self.finish_work()
        self._lines.send({"mark": mark, **facts})
