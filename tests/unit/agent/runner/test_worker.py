"""The process of one request: its marks, and what becomes of an error."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch

from agent.runner.protocol import LineSocket
from agent.runner.worker import Marks, run


@dataclass(kw_only=True)
class FakeCuda:
    """GPUs that record which of them were waited for; nothing may have arrived at `agent` by then."""

    initialized: bool
    devices: int = 2
    agent: socket.socket | None = None
    waited: list[int] = field(default_factory=list)
    counted: int = 0

    def is_initialized(self) -> bool:
        """See `Cuda`."""
        return self.initialized

    def device_count(self) -> int:
        """See `Cuda`."""
        self.counted += 1
        return self.devices

    def synchronize(self, device: int) -> None:
        """See `Cuda`."""
        if self.agent is not None:
            with pytest.raises(BlockingIOError):
                self.agent.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        self.waited.append(device)


@pytest.fixture
def ends() -> Iterator[tuple[LineSocket, socket.socket]]:
    """The worker's end of a conversation, and the agent's."""
    worker, agent = socket.socketpair()
    with worker, agent:
        yield LineSocket(worker), agent


Ends = tuple[LineSocket, socket.socket]


def received(agent: socket.socket) -> dict[str, object]:
    """Return the mark that has arrived at the agent."""
    mark: dict[str, object] = json.loads(agent.recv(10_000))
    return mark


def test_every_visible_gpu_is_waited_for(ends: Ends) -> None:
    """The work may run on any of them."""
    cuda = FakeCuda(initialized=True)
    Marks(ends[0], cuda).finish_work()
    assert cuda.waited == [0, 1]


def test_a_process_that_uses_no_gpu_does_not_even_count_them(ends: Ends) -> None:
    """Counting GPUs would load CUDA into a process that does not need it."""
    cuda = FakeCuda(initialized=False)
    Marks(ends[0], cuda).finish_work()
    assert (cuda.waited, cuda.counted) == ([], 0)


def test_torch_has_the_functions_and_is_not_initialised_by_them(ends: Ends) -> None:
    """The real torch.cuda is left as it was."""
    Marks(ends[0], torch.cuda).finish_work()
    assert not torch.cuda.is_initialized()


def test_a_mark_is_sent_after_the_gpus_are_done(ends: Ends) -> None:
    """The agent reads its counters when the mark arrives: nothing may be running then."""
    lines, agent = ends
    cuda = FakeCuda(initialized=True, agent=agent)
    agent.sendall(b'{"go":"on"}\n')
    assert Marks(lines, cuda).send("closed", passes=3) == "on"
    assert cuda.waited == [0, 1]
    assert received(agent) == {"mark": "closed", "passes": 3}


def test_the_last_mark_waits_for_the_gpus_as_well(ends: Ends) -> None:
    """It has no answer, but it ends a phase too."""
    lines, agent = ends
    cuda = FakeCuda(initialized=True, agent=agent)
    Marks(lines, cuda).send_last("done")
    assert cuda.waited == [0, 1]
    assert received(agent) == {"mark": "done"}


def test_an_exception_is_sent_as_a_mark_and_its_traceback_goes_to_the_output(
    ends: Ends, capfd: pytest.CaptureFixture[str]
) -> None:
    """The agent makes a failure of it; the process ends with 1."""
    assert run({"do": "work", "spec": {}, "passes": 1}, ends[0]) == 1
    mark = received(ends[1])
    assert (mark["mark"], mark["kind"]) == ("error", "exception")
    assert mark["type"] == "ValidationError"
    assert "Traceback" in capfd.readouterr().err


def test_a_specification_that_is_no_mapping_is_an_error_too(ends: Ends) -> None:
    """Whatever the request holds, the conversation gets an answer."""
    assert run({"do": "prepare", "spec": ["__import__('os')"]}, ends[0]) == 1
    assert received(ends[1])["mark"] == "error"


def test_an_agent_that_is_gone_ends_the_work(ends: Ends) -> None:
    """Nobody is left to answer a mark."""
    ends[1].close()
    with pytest.raises(Exception, match="Broken pipe"):
        Marks(ends[0], FakeCuda(initialized=False)).send("hello")
