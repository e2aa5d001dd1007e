"""One attempt while it runs: its phases and marks, with the sensors polled in between, from one thread."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from agent.config import AgentSetup
from agent.results.energy import choose_scope, counter_series, phase_energies, provenance_of
from agent.results.series import at_end
from agent.runner.conversation import Conversation
from agent.runner.discovery import UNSEEN
from agent.runner.pool import ForkServer
from agent.runner.protocol import Disconnected, ProtocolError
from agent.sensors.system.process import memory_now, process_cpu_ns, status_memory, tree_of
from agent.trial.sensor_set import SensorSet
from agent.trial.warmup import WarmUpChunk, warm_up_state
from joulefleet.measurement import Phase, Reason
from joulefleet.plan.trial import Trial

COOL_ENOUGH_K = 2.0
"""Distance from the baseline's temperature that counts as cooled down, kelvin: CPUs report whole degrees."""

COOL_ENOUGH_POWER = 1.05
"""Ratio to the baseline's idle power that counts as cooled down."""

COOL_DOWN_CHECK_S = 1.0
"""Time between two checks whether the machine has cooled down, seconds."""


class AttemptFailed(Exception):
    """The attempt cannot be finished, for `reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message
        self.stderr_tail = ""
        """End of the work's output, where there was a process."""


@dataclass(slots=True)
class Observations:
    """What an attempt collects while it runs; `agent.trial.summary` computes the measurement from it afterwards."""

    phases: list[Phase] = field(default_factory=list)
    clocks: list[tuple[int, int]] = field(default_factory=list)
    """Time of a mark with CLOCK_BOOTTIME - CLOCK_MONOTONIC, just before and just after its readings, ns."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Data that the work sent with its marks, unchecked."""
    base_memory: tuple[int | None, int | None, int | None] = (None, None, None)
    """Resident memory, its anonymous and its file-backed part, at the start of the work's process, bytes."""
    pss_uss: tuple[int | None, int | None] = (None, None)
    """Proportional and unique share of the work's memory after the window, bytes."""
    observer_cpu_s: float | None = None
    log_bytes: int = 0
    flags: list[str] = field(default_factory=list)

    def clock_offsets_ns(self, phase: Phase) -> list[int]:
        """Return CLOCK_BOOTTIME - CLOCK_MONOTONIC at the marks of `phase`, ns: it grows while the machine sleeps."""
        return [offset for t_ns, offset in self.clocks if phase.start_ns <= t_ns <= phase.end_ns]


class Attempt:
    """One attempt at a trial: it follows the work from mark to mark, and collects `observed`.

    `agent.trial.measure` owns it and calls, once each and in this order: `baseline`, `work`, `cool_down`. All
    three poll the sensors of `sensors`, which belong to the caller. `baseline` and `work` raise AttemptFailed
    (reason `timeout`) after `deadline`, a time of the monotonic clock in seconds; `cool_down` never does.
    """

    def __init__(self, trial: Trial, setup: AgentSetup, sensors: SensorSet, deadline: float) -> None:
        self._trial = trial
        self._setup = setup
        self._sensors = sensors
        self._sampler = sensors.sampler
        self._deadline = deadline
        self._edge_ns = 0
        self._pid: int | None = None
        self._cpu_ns: int | None = None
        self.observed = Observations()

    def baseline(self) -> None:
        """Idle for the baseline's duration, with the sensors polled as in the window."""
        self._edge_ns = self._mark()
        self._idle(self._trial.protocol.timing.baseline_s)
        self._end("baseline")

    def work(
        self, server: ForkServer, conversation: Conversation, observers: Sequence[int], started: Callable[[int], None]
    ) -> None:
        """Follow the work from the start of its process to its end. Raises AttemptFailed.

        `started` is called with the process id before the work does anything; `observers` are the process ids of
        agent, coordinator and Ray: their CPU time in the window is recorded separately.
        """
        try:
            self._conversation(server, conversation, observers, started)
        except Disconnected as error:
            raise AttemptFailed("runner_lost", f"the runner was lost ({error})") from error
        except ProtocolError as error:
            raise AttemptFailed("exception", f"the work sent {error}") from error
        except (KeyError, TypeError, ValueError) as error:
            raise AttemptFailed("exception", f"the work sent facts of another form ({error!r})") from error

    @property
    def pid(self) -> int | None:
        """The work's process; None before its first mark."""
        return self._pid

    def cool_down(self) -> None:
        """Idle until temperature, or else power, is back at its baseline; for a fixed time if neither is readable."""
        # The measurement is complete: a time-out would only lose it.
        self._deadline = math.inf
        timing = self._trial.protocol.timing
        baseline = next((phase for phase in self.observed.phases if phase.name == "baseline"), None)
        if baseline is None or self._is_cool(baseline, baseline) is None:
            self._idle(timing.cool_down_fixed_s)
        else:
            self._cool_down_to(baseline, at_most_s=timing.cool_down_at_most_s, fixed_s=timing.cool_down_fixed_s)
        self._end("cool_down")

    def _cool_down_to(self, baseline: Phase, *, at_most_s: float, fixed_s: float) -> None:
        ends = time.monotonic() + at_most_s
        while time.monotonic() < ends:
            start = self._mark()
            self._idle(min(COOL_DOWN_CHECK_S, at_most_s))
            cool = self._is_cool(Phase(name="cool_down", start_ns=start, end_ns=self._mark()), baseline)
            if cool is None:
                self._idle(fixed_s)
            if cool is not False:
                return
        if at_most_s > 0:
            self.observed.flags.append("not_cooled_down")

    def _is_cool(self, now: Phase, baseline: Phase) -> bool | None:
        """Compare `now` with the idle baseline, by temperature or else by power; None where neither is readable."""
        now_c, baseline_c = self._temperature_c(now), self._temperature_c(baseline)
        if now_c is not None and baseline_c is not None:
            return now_c <= baseline_c + COOL_ENOUGH_K
        now_j, baseline_j = self._joules(now), self._joules(baseline)
        if now_j is None or baseline_j is None:
            return None
        return now_j / now.seconds <= COOL_ENOUGH_POWER * baseline_j / baseline.seconds

    def _temperature_c(self, phase: Phase) -> float | None:
        """Return the temperature of the hottest package at the end of `phase`, °C."""
        thermal = self._sensors.thermal
        packages = [
            at_end(series, phase)
            for series in self._sampler.readings_of(thermal)
            if series.channel.name in thermal.package_channels
        ]
        return max((value for value in packages if value is not None), default=None)

    def _conversation(
        self, server: ForkServer, conversation: Conversation, observers: Sequence[int], started: Callable[[int], None]
    ) -> None:
        self._await(conversation, "hello")
        pid = self._pid = self._process_of(server, conversation.writer)
        started(pid)
        self._sensors.watch(pid, self._setup, period_s=1 / self._trial.sampling_hz)
        self.observed.base_memory = status_memory(pid, self._setup.proc_root)
        self._end("startup")
        conversation.go()
        self._await(conversation, "items")
        self._end("items")
        conversation.go()
        self._await(conversation, "loaded")
        self._end("load")
        conversation.go()
        self._warm_up(conversation)
        self._await(conversation, "open")
        self._window(conversation, pid, [*observers, *_parents(pid, server.root_pid)])
        conversation.go()
        self._await(conversation, "done")
        ended = self._await(conversation, "exit")
        if ended["returncode"] != 0:
            raise self._died(int(ended["returncode"]))
        self._end("teardown")

    def _warm_up(self, conversation: Conversation) -> None:
        chunks: list[WarmUpChunk] = []
        power_window_s = self._sensors.energy.longest_power_limit_window_s
        while True:
            before = self._sampler.last_ns
            facts = self._await(conversation, "warmed")
            now = self._mark()
            chunks.append(
                WarmUpChunk(
                    passes=int(facts["passes"]),
                    seconds=float(facts["seconds"]),
                    joules=self._joules(Phase(name="warm_up", start_ns=before, end_ns=now)),
                )
            )
            protocol = self._trial.protocol
            state = warm_up_state(chunks, regime=protocol.regime, timing=protocol.timing, power_window_s=power_window_s)
            if state != "again":
                break
            conversation.go("again")
        if state == "not_steady":
            self.observed.flags.append("not_steady")
        conversation.go()

    def _window(self, conversation: Conversation, pid: int, observers: Sequence[int]) -> None:
        work = set(tree_of(pid))
        others = sorted(set(observers) - work)
        log_before = conversation.output_bytes()
        observer_before = [process_cpu_ns(process) for process in others]
        self._end("warm_up")
        conversation.go()
        self._await(conversation, "closed")
        self._end("window")
        observer_after = [process_cpu_ns(process) for process in others]
        spent = [
            None if after is None else (after - before) / 1e9
            for before, after in zip(observer_before, observer_after, strict=True)
            if before is not None
        ]
        # The CPU time of an observer that ended meanwhile is unknown, and so is the sum.
        self.observed.observer_cpu_s = (
            None if None in spent else sum(seconds for seconds in spent if seconds is not None)
        )
        self.observed.log_bytes = conversation.output_bytes() - log_before
        self.observed.pss_uss = memory_now(pid, self._setup.proc_root)

    def _await(self, conversation: Conversation, expected: str) -> dict[str, Any]:
        """Return the next mark with its facts. Raises AttemptFailed, ProtocolError and Disconnected."""
        message = conversation.next_mark(due_s=self._due)
        mark = message.get("mark")
        if mark == "error":
            reason: Reason = "out_of_memory" if message.get("kind") == "out_of_memory" else "exception"
            raise AttemptFailed(reason, ": ".join(str(message[key]) for key in ("type", "message") if key in message))
        if mark == "exit" and expected != "exit":
            raise self._died(int(message["returncode"]))
        if mark != expected:
            raise ProtocolError(f"the mark {mark!r} in place of {expected!r}")
        self.observed.facts |= {key: value for key, value in message.items() if key != "mark"}
        return message

    def _due(self) -> float:
        """Poll the sensors, and return the seconds until the next poll. Raises AttemptFailed after the deadline."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AttemptFailed("timeout", f"not done within {self._trial.timeout_s:g} s")
        return min(left, self._sampler.poll())

    def _died(self, returncode: int) -> AttemptFailed:
        how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
        return AttemptFailed("killed" if returncode < 0 else "exception", f"the work's process ended with {how}")

    def _process_of(self, server: ForkServer, writer: int | None) -> int:
        """Return the process that wrote the mark, as the kernel reports it: a mark could name any process.

        The agent kills by this id, so it raises ProtocolError for a process that is not the fork server's.
        """
        if not server.root_pid or writer is None:
            raise AttemptFailed("runner_lost", UNSEEN)
        if writer == server.root_pid or writer not in tree_of(server.root_pid):
            raise ProtocolError("a mark of a process that is not the runner's")
        return writer

    def _idle(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            # `_due` polls the sensors and checks the time-out.
            time.sleep(min(left, max(self._due(), 0.001)))

    def _mark(self) -> int:
        before = _boottime_offset_ns()
        now = self._sampler.mark()
        self.observed.clocks += [(now, before), (now, _boottime_offset_ns())]
        return now

    def _end(self, name: Any) -> None:
        """End the phase `name` now; the next phase begins at the same readings."""
        now = self._mark()
        cpu_ns = process_cpu_ns(self._pid) if self._pid is not None else None
        used = (cpu_ns - (self._cpu_ns or 0)) / 1e9 if cpu_ns is not None else None
        self._cpu_ns = cpu_ns if cpu_ns is not None else self._cpu_ns
        self.observed.phases.append(Phase(name=name, start_ns=self._edge_ns, end_ns=now, cpu_s=used))
        self._edge_ns = now

    def _joules(self, phase: Phase) -> float | None:
        """Return the counted energy of `phase` in the fullest scope of the machine."""
        energy = self._sensors.energy
        series = counter_series(self._sampler.readings_of(energy)).between(phase.start_ns, phase.end_ns)
        energies = phase_energies(series, energy.domains, [phase], source=energy.name, provenance=provenance_of(energy))
        return choose_scope(energies, phase=phase.name).joules


def _parents(pid: int, root_pid: int) -> list[int]:
    """Return the parents of `pid` up to `root_pid`: the fork server, and in another environment its runner."""
    parents: list[int] = []
    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process(pid).parents():
            parents.append(parent.pid)
            if parent.pid == root_pid:
                return parents
    return parents[:1]


def _boottime_offset_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)
