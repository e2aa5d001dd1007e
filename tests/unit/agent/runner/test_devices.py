import json
import socket
from dataclasses import dataclass, field

import torch

from agent.runner.devices import finish_work
from agent.runner.protocol import LineSocket
from agent.runner.worker import Marks


@dataclass(kw_only=True)
class FakeCuda:
    """GPUs that note who waits for them; `other_end` shows what had been said by then."""

    initialized: bool
    devices: int = 2
    other_end: socket.socket | None = None
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
        if self.other_end is not None:
            assert _nothing_said(self.other_end)
        self.waited.append(device)


def _nothing_said(end: socket.socket) -> bool:
    try:
        return not end.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True


def test_every_visible_gpu_is_waited_for() -> None:
    """Work may run on any of them."""
    cuda = FakeCuda(initialized=True)
    finish_work(cuda)
    assert cuda.waited == [0, 1]


def test_a_process_that_uses_no_gpu_does_not_even_count_them() -> None:
    """Counting GPUs would load CUDA into a process that has nothing to do with it."""
    cuda = FakeCuda(initialized=False)
    finish_work(cuda)
    assert (cuda.waited, cuda.counted) == ([], 0)


def test_torch_itself_is_asked_without_being_initialised() -> None:
    """The real torch.cuda has what is used of it, and asking leaves it as it was."""
    finish_work(torch.cuda)
    assert not torch.cuda.is_initialized()


def test_a_mark_is_said_after_the_gpus_are_done() -> None:
    """The agent reads its counters when it hears the mark: by then nothing may be running."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cuda = FakeCuda(initialized=True, other_end=theirs)
        theirs.sendall(b'{"go":"on"}\n')
        assert Marks(LineSocket(ours), cuda)("closed", passes=3) == "on"
        assert cuda.waited == [0, 1]
        assert json.loads(theirs.recv(100)) == {"mark": "closed", "passes": 3}


def test_the_last_mark_waits_for_the_gpus_as_well() -> None:
    """It has no answer, but ends a phase all the same."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        cuda = FakeCuda(initialized=True, other_end=theirs)
        Marks(LineSocket(ours), cuda).last("done")
        assert cuda.waited == [0, 1]
        assert json.loads(theirs.recv(100)) == {"mark": "done"}
