"""One attempt as it happens: phases and marks, with the sensors polled in between, from one thread."""

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
from agent.runner.pool import RunnerHost
from agent.runner.protocol import Disconnected, Stranger
from agent.sensors.system.process import memory_now, process_cpu_ns, status_memory, tree_of
from agent.trial.sensor_set import SensorSet
from agent.trial.warmup import WarmUpChunk, verdict
from joulefleet.measurement import Memory, Phase, Reason
from joulefleet.plan.trial import Trial

COOL_ENOUGH_K = 2.0
"""Within 2 kelvin of the baseline counts as cooled down: CPUs tell whole degrees."""

COOL_ENOUGH_POWER = 1.05
"""Idle power within 5 % of the baseline's counts as cooled down."""

COOL_DOWN_LOOK_S = 1.0


class AttemptFailed(Exception):
    """The attempt cannot be finished, and why."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.message = message


@dataclass(slots=True)
class Observations:
    """What was seen of an attempt; numbers are made of it when it is over."""

    phases: list[Phase] = field(default_factory=list)
    clocks: list[tuple[int, int]] = field(default_factory=list)
    """Time of a mark, and CLOCK_BOOTTIME - CLOCK_MONOTONIC just before and just after its readings, ns."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the work said with its marks."""
    base_memory: tuple[int | None, int | None, int | None] = (None, None, None)
    pss_uss: tuple[int | None, int | None] = (None, None)
    observer_cpu_s: float | None = None
    log_bytes: int = 0
    flags: list[str] = field(default_factory=list)

    def clock_offsets_ns(self, phase: Phase) -> list[int]:
        """CLOCK_BOOTTIME - CLOCK_MONOTONIC at the marks of `phase`, ns: they differ where the machine slept."""
        return [offset for t_ns, offset in self.clocks if phase.start_ns <= t_ns <= phase.end_ns]


class Attempt:
    """Runs one trial's work between its marks."""

    def __init__(self, trial: Trial, setup: AgentSetup, sensors: SensorSet, deadline: float) -> None:
        self._trial = trial
        self._setup = setup
        self._sensors = sensors
        self._recorder = sensors.recorder
        self._deadline = deadline
        self._edge_ns = 0
        self._pid: int | None = None
        self._cpu_ns: int | None = None
        self.seen = Observations()

    def baseline(self) -> None:
        """Idle, with the sensors polled as in the window."""
        self._edge_ns = self._mark()
        self._idle(self._trial.protocol.timing.baseline_s)
        self._end("baseline")

    def work(
        self, host: RunnerHost, conversation: Conversation, observers: Sequence[int], started: Callable[[int], None]
    ) -> None:
        """From the start of the work's process to its end. Raises AttemptFailed."""
        try:
            self._conversation(host, conversation, observers, started)
        except Disconnected as error:
            raise AttemptFailed("runner_lost", f"the runner went away ({error})") from error
        except Stranger as error:
            raise AttemptFailed("exception", f"the work sent {error}") from error

    @property
    def pid(self) -> int | None:
        """The work's process, once it has said hello."""
        return self._pid

    def cool_down(self) -> None:
        """Rest until the temperature, or else idle power, is back at its baseline; else for a fixed time."""
        # The measurement is complete; a time-out would only lose it.
        self._deadline = math.inf
        timing = self._trial.protocol.timing
        before = next((phase for phase in self.seen.phases if phase.name == "baseline"), None)
        if before is None or self._is_cool(before, before) is None:
            self._idle(timing.cool_down_fixed_s)
        else:
            self._cool_down_to(before, at_most_s=timing.cool_down_at_most_s, fixed_s=timing.cool_down_fixed_s)
        self._end("cool_down")

    def _cool_down_to(self, before: Phase, *, at_most_s: float, fixed_s: float) -> None:
        ends = time.monotonic() + at_most_s
        while time.monotonic() < ends:
            start = self._mark()
            self._idle(min(COOL_DOWN_LOOK_S, at_most_s))
            cool = self._is_cool(Phase(name="cool_down", start_ns=start, end_ns=self._mark()), before)
            if cool is None:
                self._idle(fixed_s)
            if cool is not False:
                return
        if at_most_s > 0:
            self.seen.flags.append("not_cooled_down")

    def _is_cool(self, now: Phase, before: Phase) -> bool | None:
        """Whether `now` is as the idle baseline `before`: by temperature, else by power; None where nothing tells."""
        hot, was_hot = self._temperature(now), self._temperature(before)
        if hot is not None and was_hot is not None:
            return hot <= was_hot + COOL_ENOUGH_K
        joules, idle_joules = self._joules(now), self._joules(before)
        if joules is None or idle_joules is None:
            return None
        return joules / now.seconds <= COOL_ENOUGH_POWER * idle_joules / before.seconds

    def _temperature(self, phase: Phase) -> float | None:
        """Of the hottest package at the end of `phase`, °C."""
        thermal = self._sensors.thermal
        seen = [
            at_end(series, phase)
            for series in self._recorder.readings_of(thermal)
            if series.channel.name in thermal.package_channels
        ]
        return max((value for value in seen if value is not None), default=None)

    def _conversation(
        self, host: RunnerHost, conversation: Conversation, observers: Sequence[int], started: Callable[[int], None]
    ) -> None:
        self._await(conversation, "hello")
        pid = self._pid = self._process_of(host, conversation.writer)
        started(pid)
        self._sensors.watch(pid, self._setup, period_s=1 / self._trial.sampling_hz)
        self.seen.base_memory = status_memory(pid, self._setup.proc_root)
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
        self._window(conversation, pid, [*observers, *_way_up(pid, host.root)])
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
            before = self._recorder.last_ns
            fact = self._await(conversation, "warmed")
            now = self._mark()
            chunks.append(
                WarmUpChunk(
                    passes=int(fact["passes"]),
                    seconds=float(fact["seconds"]),
                    joules=self._joules(Phase(name="warm_up", start_ns=before, end_ns=now)),
                )
            )
            protocol = self._trial.protocol
            said = verdict(chunks, regime=protocol.regime, timing=protocol.timing, power_window_s=power_window_s)
            if said != "again":
                break
            conversation.go("again")
        if said == "not_steady":
            self.seen.flags.append("not_steady")
        conversation.go()

    def _window(self, conversation: Conversation, pid: int, observers: Sequence[int]) -> None:
        work = set(tree_of(pid))
        watching = sorted(set(observers) - work)
        log_before = conversation.output_bytes()
        observer_before = [process_cpu_ns(process) for process in watching]
        self._end("warm_up")
        conversation.go()
        self._await(conversation, "closed")
        self._end("window")
        observer_after = [process_cpu_ns(process) for process in watching]
        spent = [
            None if after is None else (after - before) / 1e9
            for before, after in zip(observer_before, observer_after, strict=True)
            if before is not None
        ]
        # What one took that has ended meanwhile cannot be told, so neither can what all of them took.
        self.seen.observer_cpu_s = None if None in spent else sum(seconds for seconds in spent if seconds is not None)
        self.seen.log_bytes = conversation.output_bytes() - log_before
        self.seen.pss_uss = memory_now(pid, self._setup.proc_root)

    def _await(self, conversation: Conversation, mark: str) -> dict[str, Any]:
        message = conversation.next_mark(due_s=self._due)
        said = message.get("mark")
        if said == "error":
            reason: Reason = "out_of_memory" if message.get("kind") == "out_of_memory" else "exception"
            raise AttemptFailed(reason, str(message.get("message", "")))
        if said == "exit" and mark != "exit":
            raise self._died(int(message["returncode"]))
        if said != mark:
            raise Stranger(f"the mark {said!r} in place of {mark!r}")
        self.seen.facts |= {key: value for key, value in message.items() if key != "mark"}
        return message

    def _due(self) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise AttemptFailed("timeout", f"not done within {self._trial.timeout_s:g} s")
        return min(left, self._recorder.poll())

    def _died(self, returncode: int) -> AttemptFailed:
        how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
        return AttemptFailed("killed" if returncode < 0 else "exception", f"the work's process ended with {how}")

    def _process_of(self, host: RunnerHost, writer: int | None) -> int:
        """The process that wrote the mark, as the kernel says; what marks say of themselves is not to be believed."""
        if not host.root or writer is None:
            raise AttemptFailed("runner_lost", UNSEEN)
        if writer == host.root or writer not in tree_of(host.root):
            raise Stranger("a mark of a process that is not the runner's")
        return writer

    def _idle(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            # `_due` polls and keeps the trial's time-out; sleeping is all that idle means.
            time.sleep(min(left, max(self._due(), 0.001)))

    def _mark(self) -> int:
        before = _boottime_offset_ns()
        now = self._recorder.mark()
        self.seen.clocks += [(now, before), (now, _boottime_offset_ns())]
        return now

    def _end(self, name: Any) -> None:
        """End the phase `name` now; the next one begins at the same reading."""
        now = self._mark()
        cpu_ns = process_cpu_ns(self._pid) if self._pid is not None else None
        used = (cpu_ns - (self._cpu_ns or 0)) / 1e9 if cpu_ns is not None else None
        self._cpu_ns = cpu_ns if cpu_ns is not None else self._cpu_ns
        self.seen.phases.append(Phase(name=name, start_ns=self._edge_ns, end_ns=now, cpu_s=used))
        self._edge_ns = now

    def _joules(self, phase: Phase) -> float | None:
        """What the energy counters say of `phase` so far, in the machine's fullest scope."""
        energy = self._sensors.energy
        series = counter_series(self._recorder.readings_of(energy)).between(phase.start_ns, phase.end_ns)
        energies = phase_energies(series, energy.domains, [phase], source=energy.name, provenance=provenance_of(energy))
        return choose_scope(energies, phase=phase.name).joules


def _way_up(pid: int, root: int) -> list[int]:
    """The processes above `pid`, up to `root`: the host, and with another environment its runner."""
    above: list[int] = []
    with contextlib.suppress(psutil.Error):
        for parent in psutil.Process(pid).parents():
            above.append(parent.pid)
            if parent.pid == root:
                return above
    return above[:1]


def _boottime_offset_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def memory_of(seen: Observations, peak: dict[str, int | None], mean_rss: int | None) -> Memory:
    """The memory record of an attempt; `peak` by channel over the window."""
    rss, anon, file = seen.base_memory
    return Memory(
        base_rss_bytes=rss,
        base_anon_bytes=anon,
        base_file_bytes=file,
        peak_rss_bytes=peak.get("work_rss_bytes"),
        peak_anon_bytes=peak.get("work_anon_bytes"),
        peak_file_bytes=peak.get("work_file_bytes"),
        mean_rss_bytes=mean_rss,
        pss_bytes=seen.pss_uss[0],
        uss_bytes=seen.pss_uss[1],
    )
