"""Ctrl-C during a run, with real signals to this process."""

from __future__ import annotations

import signal

import pytest

from coordinator.cli.interrupts import Interrupts


def test_the_first_ctrl_c_requests_a_stop_and_says_so() -> None:
    """The trial that is running is finished, so nothing is raised."""
    messages: list[str] = []
    with Interrupts() as interrupts:
        interrupts.notify = messages.append
        assert not interrupts.requested()
        signal.raise_signal(signal.SIGINT)
        assert interrupts.requested()
    assert len(messages) == 1
    assert "Ctrl-C again" in messages[0]


def test_the_second_ctrl_c_ends_the_run_at_once() -> None:
    """The user does not want to wait for the trial."""
    with Interrupts():
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_sigterm_ends_the_run_at_once() -> None:
    """A service manager kills what does not end soon."""
    with Interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)


def test_the_earlier_handlers_are_restored() -> None:
    """Also after the handlers were installed a second time."""
    before = (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    with Interrupts() as interrupts:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        interrupts.install()
        signal.raise_signal(signal.SIGINT)
        assert interrupts.requested()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
