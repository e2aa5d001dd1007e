"""The process of one request: it does the work of a trial and sends its marks, or prepares weights.

The fork server calls `run` in a process of its own for each request. Only this process loads models.
"""

from __future__ import annotations

import time
import traceback
from array import array
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
import transformers
from pydantic import TypeAdapter

from agent.runner.privileges import drop_privileges, ordinary_priority, settings_in_force
from agent.runner.protocol import Disconnected, LineSocket
from agent.workloads import PassCounts, PrepareRequest, Workload, WorkSpec
from agent.workloads.prepare import prepare
from agent.workloads.sequence_classification import SequenceClassification

_SPEC: TypeAdapter[WorkSpec] = TypeAdapter(WorkSpec)
_PREPARE: TypeAdapter[PrepareRequest] = TypeAdapter(PrepareRequest)

WARM_UP_CHUNK_S = 0.5
"""Shortest chunk of warm-up passes, seconds: the agent reads its counters after each chunk."""

_LONGEST_MESSAGE = 2000
"""Longest message of an error that is sent to the agent, characters."""


def run(request: dict[str, Any], lines: LineSocket) -> int:
    """Do what `request` says, and return the exit code of this process.

    0: done; 1: an exception, which was sent as the mark `error`; 3: the agent closed the conversation.
    """
    # transformers would write a progress bar to the output while it loads.
    transformers.utils.logging.disable_progress_bar()
    try:
        if request["do"] == "prepare":
            prepare(_PREPARE.validate_python(request["spec"]))
            lines.send({"mark": "done"})
        else:
            _work(_SPEC.validate_python(request["spec"]), int(request["passes"]), lines)
    except Disconnected:
        return 3
    except Exception as error:  # noqa: BLE001  # the work may raise anything; it is sent to the agent
        traceback.print_exc()
        lines.send(
            {
                "mark": "error",
                "kind": _kind(error),
                "type": type(error).__name__,
                "message": str(error)[:_LONGEST_MESSAGE],
            }
        )
        return 1
    return 0


def _kind(error: Exception) -> str:
    # torch's allocator raises a RuntimeError.
    out_of_memory = isinstance(error, MemoryError) or "can't allocate memory" in str(error)
    return "out_of_memory" if out_of_memory else "exception"


def _work(spec: WorkSpec, passes: int, lines: LineSocket) -> None:
    ordinary_priority()
    # The library's folder as well: a new interpreter still has to import the model's code.
    needed = [spec.weights_folder, spec.items_file, spec.tokenizer_folder, transformers.__file__]
    privileges = drop_privileges([Path(path) for path in needed if path is not None])
    marks = Marks(lines, torch.cuda)
    marks.send("hello", privileges=privileges, **settings_in_force())
    workload: Workload = SequenceClassification(spec)
    counts = workload.make_items()
    marks.send("items", items=counts.items, tokens=counts.tokens, padded_tokens=counts.padded_tokens)
    loaded = workload.load()
    marks.send("loaded", **asdict(loaded))
    _warm_up(workload, counts, marks)
    latencies = array("q", bytes(8 * passes * counts.batches))
    views = [memoryview(latencies)[n * counts.batches : (n + 1) * counts.batches] for n in range(passes)]
    marks.send("open")
    start = time.perf_counter_ns()
    for view in views:
        workload.run_pass(view)
    # The work's own clock includes what the GPUs still do, as the mark after it does.
    marks.finish_work()
    work_ns = time.perf_counter_ns() - start
    marks.send("closed")
    labels_problem, labels = None, None
    try:
        labels = workload.labels()
    except ValueError as error:
        labels_problem = str(error)
    marks.send_last(
        "done",
        work_ns=work_ns,
        latencies_ns=latencies.tolist(),
        predictions=workload.predictions() if labels is not None else None,
        labels=labels,
        labels_problem=labels_problem,
    )


def _warm_up(workload: Workload, counts: PassCounts, marks: Marks) -> None:
    scratch = memoryview(array("q", bytes(8 * counts.batches)))
    while True:
        start, done = time.perf_counter(), 0
        while done == 0 or time.perf_counter() - start < WARM_UP_CHUNK_S:
            workload.run_pass(scratch)
            marks.finish_work()
            done += 1
        if marks.send("warmed", passes=done, seconds=time.perf_counter() - start) != "again":
            return


class Cuda(Protocol):
    """The functions of `torch.cuda` that `Marks` needs."""

    def is_initialized(self) -> bool:
        """Return whether this process has used a GPU."""
        ...

    def device_count(self) -> int:
        """Return the number of GPUs that this process can see."""
        ...

    def synchronize(self, device: int) -> None:
        """Wait until the GPU has done all its queued work."""
        ...


class Marks:
    """Sends marks to the agent, each after the GPUs have done all their queued work.

    A GPU works on after the call that queued the work, so without the wait a mark would come before its end.
    """

    def __init__(self, lines: LineSocket, cuda: Cuda) -> None:
        self._lines = lines
        self._cuda = cuda

    def finish_work(self) -> None:
        """Wait until every visible GPU has done its queued work; nearly free in a process that uses no GPU."""
        if self._cuda.is_initialized():
            for device in range(self._cuda.device_count()):
                self._cuda.synchronize(device)

    def send(self, mark: str, **facts: object) -> object:
        """Send `mark`, and return the agent's answer. Raises Disconnected and ProtocolError."""
        self.send_last(mark, **facts)
        return self._lines.receive().get("go")

    def send_last(self, mark: str, **facts: object) -> None:
        """Send `mark`, which has no answer. Raises Disconnected."""
        self.finish_work()
        self._lines.send({"mark": mark, **facts})
