"""Which trials a campaign runs, in which order, and which it never runs twice."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coordinator.campaign.campaign import Campaign, CampaignResult
from coordinator.campaign.waiting import WaitLimits
from coordinator.cluster.interface import Call, CallResult, MembershipChange, Prepare, Run
from coordinator.events.events import (
    Collected,
    Event,
    MachineBusy,
    MachineRefused,
    MachineSetAside,
    PlanFixed,
    Stalled,
    TrialEnded,
    TrialLost,
)
from coordinator.scheduling.block import COHERENT_S
from coordinator.store.writer import StoreWriter, open_store
from joulefleet.errors import BusyError, JoulefleetError, MachineError, SupersededError
from joulefleet.plan.design import Design
from joulefleet.plan.trial import Trial
from tests.support.fake_cluster import MACHINE, FakeAgent, FakeCluster, parquet_of
from tests.support.scheduled_machines import MORE_BLOCKS, MORE_PAIR, NEW_MODEL, WITH_PILOT
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned


class Clock:
    """A clock that goes on by a hundredth of a second each time that it is read."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        """Return the time, seconds since 1970."""
        self.now += 0.01
        return self.now

    def sleep(self, seconds: float) -> None:
        """Go on by `seconds` at once."""
        self.now += seconds


def run(
    root: Path,
    cluster: FakeCluster,
    *,
    text: str = TINY_STUDY,
    stop_after: int | None = None,
    retry: frozenset[str] = frozenset(),
    known: Mapping[str, str] | None = None,
) -> tuple[CampaignResult, list[Event]]:
    """Run a campaign on the store at `root`; after `stop_after` trials have started, stop it."""
    events: list[Event] = []
    clock = Clock()
    cluster.reconnect()
    begun = len(cluster.started)
    with open_store(root, study="tiny") as store:
        campaign = Campaign(
            cluster,
            store,
            tiny_pinned(text),
            on_event=events.append,
            should_stop=lambda: stop_after is not None and len(cluster.started) - begun >= stop_after,
            retry=retry,
            known=known,
            clock=clock,
            monotonic=clock,
            sleep=clock.sleep,
        )
        return campaign.run(), events


def test_a_campaign_runs_the_plan_in_its_order(tmp_path: Path) -> None:
    """Block by block, in the seeded order, each trial once."""
    cluster = FakeCluster()
    ended, _ = run(tmp_path / "s", cluster)
    design = Design(tiny_pinned(), store_id="")
    plan = design.blocks(MACHINE.machine_id, design.passes({}))
    assert cluster.started == [f"{trial.trial_id}-r1-a1" for block in plan for trial in block.trials]
    assert ended == CampaignResult(total=8, ok=8, failed=0, stopped=False)


def test_invariant_2_a_done_trial_is_never_run_again(tmp_path: Path) -> None:
    """However often it is stopped and resumed, every trial starts once."""
    cluster = FakeCluster()
    for _ in range(8):
        run(tmp_path / "s", cluster, stop_after=1)
    ended, _ = run(tmp_path / "s", cluster)
    assert ended.ok == 8
    assert len(cluster.started) == len(set(cluster.started)) == 8


def test_pilots_fix_the_passes_and_are_not_repeated(tmp_path: Path) -> None:
    """A pass of half a second makes five passes of over two seconds, today and after a resume."""
    cluster = FakeCluster()
    run(tmp_path / "s", cluster, text=WITH_PILOT, stop_after=6)
    _, events = run(tmp_path / "s", cluster, text=WITH_PILOT)
    passes = {event.trial.protocol.passes for event in events if isinstance(event, TrialEnded)}
    assert passes == {5}
    assert len(cluster.started) == len(set(cluster.started)) == 4 + 8


def test_more_repetitions_run_only_what_is_new(tmp_path: Path) -> None:
    """A study that grows from two blocks to three runs one more block."""
    cluster = FakeCluster()
    run(tmp_path / "s", cluster)
    _, events = run(tmp_path / "s", cluster, text=MORE_BLOCKS)
    planned = next(event for event in events if isinstance(event, PlanFixed))
    assert (planned.total, planned.done) == (12, 8)
    assert len(cluster.started) == 12


def test_a_failed_trial_is_tried_once_more_at_the_end_of_its_block(tmp_path: Path) -> None:
    """A second failure stands as a row; it does not stop the study."""
    victim: list[str] = []

    def before(trial: Trial, start: int) -> str | None:
        if start == 2:
            victim.append(trial.trial_id)
        return "failed" if trial.trial_id in victim else None

    cluster = FakeCluster(before)
    ended, _ = run(tmp_path / "s", cluster)
    assert ended == CampaignResult(total=8, ok=7, failed=1, stopped=False)
    assert [index for index, name in enumerate(cluster.started) if name.startswith(victim[0])] == [1, 4]
    ended, _ = run(tmp_path / "s", cluster)
    assert len(cluster.started) == 9


def test_an_agent_lost_before_its_row_repeats_the_trial(tmp_path: Path) -> None:
    """Nothing was finished, so the same attempt runs again."""
    cluster = FakeCluster(lambda trial, start: "lost" if start == 3 else None)
    ended, _ = run(tmp_path / "s", cluster)
    assert ended.ok == 8
    assert cluster.started[2] == cluster.started[3]


def test_invariant_1_an_agent_lost_after_its_row_loses_nothing_and_repeats_nothing(tmp_path: Path) -> None:
    """The outbox held the row: it is collected, not measured again."""
    cluster = FakeCluster(lambda trial, start: "lost after" if start == 3 else None)
    ended, _ = run(tmp_path / "s", cluster)
    assert ended.ok == len(cluster.started) == 8


def test_what_waits_from_an_earlier_run_is_collected_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that died between outbox and store finds the row there."""
    cluster = FakeCluster()
    with monkeypatch.context() as patch:
        patch.setattr("coordinator.store.writer.StoreWriter.commit", _dead)
        with pytest.raises(ConnectionError):
            run(tmp_path / "s", cluster)
    ended, events = run(tmp_path / "s", cluster)
    assert ended.ok == len(cluster.started) == 8
    assert [type(event) for event in events].count(Collected) == 1


def _dead(store: StoreWriter, attempt_id: str, parquet: bytes) -> None:
    raise ConnectionError


def test_a_trial_that_loses_its_agent_again_and_again_has_failed(tmp_path: Path) -> None:
    """After three losses in one trial, the trial has failed and gets a row; the study goes on."""
    cluster = FakeCluster(lambda trial, start: "lost" if start in (2, 3, 4, 5, 6) and trial.position == 2 else None)
    ended, events = run(tmp_path / "s", cluster)
    assert (ended.ok, ended.failed) == (7, 1)
    assert [e.outcome.reason for e in events if isinstance(e, TrialEnded) and e.outcome.status != "ok"] == [
        "agent_lost"
    ]


def test_a_machine_that_loses_its_agent_all_the_time_is_set_aside(tmp_path: Path) -> None:
    """It takes six losses in succession. Without another machine the run ends with that error."""
    cluster = FakeCluster(lambda trial, start: "lost")
    with pytest.raises(MachineError, match="lost 6 times in succession"):
        run(tmp_path / "s", cluster)


def test_a_busy_machine_is_reported_and_asked_again(tmp_path: Path) -> None:
    """Somebody else measures there, which is neither a failure nor a loss."""
    busy = BusyError("this machine is busy.", cure="Wait.")
    cluster = FakeCluster(lambda trial, start: busy if start == 4 else None)
    ended, events = run(tmp_path / "s", cluster)
    assert ended.ok == 8
    assert sum(isinstance(event, MachineBusy) for event in events) == 1


def test_a_machine_that_cannot_measure_is_set_aside_with_its_cure(tmp_path: Path) -> None:
    """The user sees the agent's own message; finished trials are kept."""
    full: JoulefleetError = MachineError("the disk is full.", cure="Make room.")
    cluster = FakeCluster(lambda trial, start: full if start == 4 else None)
    with pytest.raises(MachineError, match=r"the disk is full\. Make room"):
        run(tmp_path / "s", cluster)
    ended, _ = run(tmp_path / "s", FakeCluster())
    assert ended.ok == 8


def test_every_machine_runs_the_whole_design(tmp_path: Path) -> None:
    """Two machines, twice the trials; one that is set aside does not hold up the other."""
    full = MachineError("the disk is full.", cure="Make room.")

    def before(trial: Trial, start: int) -> JoulefleetError | None:
        return full if trial.place == "b" and trial.position == 3 else None

    cluster = FakeCluster(before, machines=("a", "b"))
    ended, events = run(tmp_path / "s", cluster)
    assert (ended.total, ended.ok, ended.missing) == (16, 10, 6)
    assert [event.why for event in events if isinstance(event, MachineSetAside)] == [str(full)]
    ended, _ = run(tmp_path / "s", FakeCluster(machines=("a", "b")))
    assert (ended.ok, ended.missing) == (16, 0)


def test_machines_of_one_class_share_the_blocks(tmp_path: Path) -> None:
    """Placement any-machine: each block is whole on one machine, and each is run once."""
    cluster = FakeCluster(machines=("a", "b"))
    ended, events = run(tmp_path / "s", cluster, text=changed(TINY_STUDY, {"placement": "any-machine"}))
    assert (ended.total, ended.ok) == (8, 8)
    by_block: dict[int, set[str]] = {}
    for event in events:
        if isinstance(event, TrialEnded):
            by_block.setdefault(event.trial.block, set()).add(event.outcome.machine_id)
    assert by_block in ({1: {"a"}, 2: {"b"}}, {1: {"b"}, 2: {"a"}})


def test_a_second_agent_of_one_machine_is_refused(tmp_path: Path) -> None:
    """Two hosts with one id would be taken for one machine, and never be compared."""
    cluster = FakeCluster(machines=("a",))
    cluster.agents["twin"] = FakeAgent(
        node="twin", machine=replace(MACHINE, machine_id="a", name="other host"), boot_id="another"
    )
    ended, events = run(tmp_path / "s", cluster)
    assert ended.ok == 8
    (refused,) = [event for event in events if isinstance(event, MachineRefused)]
    assert "machine id" in refused.why
    assert "systemd-machine-id-setup" in refused.cure


def test_a_newer_coordinator_ends_this_one_without_ending_its_agents(tmp_path: Path) -> None:
    """Agents obey the highest epoch; the old coordinator must not kill what they do now."""
    superseded = SupersededError("a newer coordinator commands.", cure="Let it finish.", highest=9)
    cluster = FakeCluster(lambda trial, start: superseded if start == 3 else None)
    with pytest.raises(SupersededError):
        run(tmp_path / "s", cluster)
    assert cluster.abandoned


def test_failures_are_tried_again_on_request(tmp_path: Path) -> None:
    """A trial that failed twice runs again, with all that it is compared with, as a new round of its block."""
    cluster = FakeCluster(lambda trial, start: "failed" if str(trial.cell).startswith("big/one") else None)
    ended, _ = run(tmp_path / "s", cluster)
    assert (ended.ok, ended.failed) == (6, 2)
    ended, _ = run(tmp_path / "s", FakeCluster(), retry=frozenset({"failed"}))
    assert (ended.ok, ended.failed) == (6, 2)
    again = FakeCluster()
    ended, _ = run(tmp_path / "s", again, retry=frozenset({"quarantined"}))
    assert (ended.ok, ended.failed) == (8, 0)


def test_a_new_model_measures_every_pair_concerned_again_and_nothing_else(tmp_path: Path) -> None:
    """Compared with what was measured on another day, it could not be told from that day."""
    run(tmp_path / "s", FakeCluster())
    more = changed(TINY_STUDY, {"models.new": NEW_MODEL, "pairs.more": MORE_PAIR})
    cluster = FakeCluster()
    ended, events = run(tmp_path / "s", cluster, text=more)
    assert (ended.total, ended.ok) == (12, 12)
    assert {event.trial.cell.model for event in events if isinstance(event, TrialEnded)} == {"big", "small", "new"}
    assert len(cluster.started) == 12
    alone = changed(TINY_STUDY, {"models.new": NEW_MODEL})
    cluster = FakeCluster()
    run(tmp_path / "t", FakeCluster())
    run(tmp_path / "t", cluster, text=alone)
    assert len(cluster.started) == 4


def test_rows_of_another_study_in_an_outbox_are_kept_and_count_for_nothing(tmp_path: Path) -> None:
    """The rows have the same cells and protocols, but each study has trials of its own."""
    first = FakeCluster()
    run(tmp_path / "s", first, stop_after=3)
    # An interrupted run leaves this: one more row, which never came to the store.
    held = FakeCluster()
    run(tmp_path / "elsewhere", held, stop_after=4)
    other = FakeCluster()
    with open_store(tmp_path / "elsewhere", study="tiny") as store:
        data = store.find(held.started[-1])
    assert data is not None
    other.agents["node of machine"].outbox[held.started[-1]] = data
    ended, events = run(tmp_path / "s", other, text=changed(TINY_STUDY, {"name": "other"}))
    assert ended == CampaignResult(total=8, ok=8, failed=0, stopped=False)
    assert len(other.started) == 8
    assert [event for event in events if isinstance(event, Collected)]


class BusyAtFirst(FakeCluster):
    """A cluster whose machine is busy when weights are first to be prepared."""

    preparations = 0

    def _answer(self, agent: FakeAgent, call: Call) -> CallResult:
        if isinstance(call, Prepare):
            self.preparations += 1
            if self.preparations == 1:
                return CallResult(node=agent.node, call=call, error=BusyError("busy.", cure="Wait."))
        return super()._answer(agent, call)

    def answers(self, timeout_s: float) -> Sequence[CallResult]:
        """Count the turns of the campaign."""
        self.looks = getattr(self, "looks", 0) + 1
        return super().answers(timeout_s)


def test_a_machine_that_is_busy_is_left_alone_before_it_is_prepared_too(tmp_path: Path) -> None:
    """It is asked again after 30 s: each call would disturb whoever measures there."""
    cluster = BusyAtFirst()
    ended, events = run(tmp_path / "s", cluster)
    assert ended.ok == 8
    assert len([event for event in events if isinstance(event, MachineBusy)]) == 1
    # 30 s, at about two hundredths of a second in each turn.
    assert cluster.looks > 200


def test_a_machine_that_is_back_before_its_old_node_has_gone_takes_part_again(tmp_path: Path) -> None:
    """After a quick restart Ray knows both nodes for some seconds. The machine is no copy of itself."""

    class Restarted(FakeCluster):
        def answers(self, timeout_s: float) -> Sequence[CallResult]:
            answers = super().answers(timeout_s)
            if len(self.started) == 3 and "new node" not in self.agents and not self.deferred:
                self.join(FakeAgent(node="new node", machine=MACHINE, boot_id="next boot"))
            elif len(self.started) == 5 and self.deferred:
                self.leave("node of machine")
                self.ask_again()
            return answers

    ended, events = run(tmp_path / "s", Restarted())
    assert (ended.ok, ended.missing) == (8, 0)
    assert not [event for event in events if isinstance(event, MachineRefused)]


def test_an_agent_in_a_trial_of_an_earlier_run_is_waited_for(tmp_path: Path) -> None:
    """It answers when that trial has ended, long after the time in which a machine must have joined."""

    class Silent(FakeCluster):
        def __init__(self) -> None:
            super().__init__()
            self.looks = 0

        def reconnect(self) -> None:
            super().reconnect()
            self.held, self._changes = list(self._changes), []

        def changes(self) -> Sequence[MembershipChange]:
            self.looks += 1
            if self.looks == 20:
                self._changes = self.held
            return super().changes()

        def expecting(self) -> bool:
            return self.looks < 20

        def answers(self, timeout_s: float) -> Sequence[CallResult]:
            clock.sleep(5 if self.looks < 20 else 0)
            return super().answers(timeout_s)

    events: list[Event] = []
    clock, cluster = Clock(), Silent()
    cluster.reconnect()
    with open_store(tmp_path / "s", study="tiny") as store:
        ended = Campaign(
            cluster,
            store,
            tiny_pinned(),
            on_event=events.append,
            should_stop=lambda: False,
            clock=clock,
            monotonic=clock,
            sleep=clock.sleep,
        ).run()
    assert ended.ok == 8
    messages = [event.message for event in events if isinstance(event, Stalled)]
    assert len([message for message in messages if "trial of an earlier run" in message]) == 1


def test_a_machine_of_an_earlier_run_is_waited_for_and_named(tmp_path: Path) -> None:
    """A run that starts before all agents are back must not end as done; a machine that was done is not waited for."""
    known = {"a": "north", "b": "south"}
    run(tmp_path / "s", FakeCluster(machines=("a", "b")), stop_after=6)
    ended, events = run(tmp_path / "s", FakeCluster(machines=("a",)), known=known)
    assert (ended.not_back, ended.absent) == (("south",), ())
    assert (ended.total, ended.missing) == (8, 0)
    assert [event.message for event in events if isinstance(event, Stalled)] == ["waiting for south to come back"]
    ended, _ = run(tmp_path / "s", FakeCluster(machines=("a", "b")), known=known)
    assert (ended.ok, ended.not_back) == (16, ())
    ended, events = run(tmp_path / "s", FakeCluster(machines=("a",)), known=known)
    assert (ended.ok, ended.missing, ended.not_back) == (8, 0, ())
    assert not any(isinstance(event, Stalled) for event in events)


def test_machines_that_were_set_aside_are_named_and_are_not_absent(tmp_path: Path) -> None:
    """The user has to repair such a machine instead of waiting for it."""
    broken = MachineError("the disk is full.", cure="Make room.")
    cluster = FakeCluster(machines=("a", "b"))
    inner = cluster._run

    def run_one(agent: FakeAgent, call: Run, trial: Trial) -> CallResult:
        if agent.machine.machine_id == "a":
            return CallResult(node=agent.node, call=call, error=broken)
        return inner(agent, call, trial)

    cluster._run = run_one  # type: ignore[method-assign]  # one machine of two is broken
    ended, _ = run(tmp_path / "s", cluster)
    assert (ended.ok, ended.missing, ended.absent, len(ended.set_aside)) == (8, 8, (), 1)


def test_a_trial_that_another_coordinator_has_committed_meanwhile_is_not_run_again(tmp_path: Path) -> None:
    """A coordinator that was superseded may do that after this one has read the store."""
    cluster, events, clock = FakeCluster(), list[Event](), Clock()
    cluster.reconnect()
    with open_store(tmp_path / "s", study="tiny") as store:
        campaign = Campaign(
            cluster,
            store,
            tiny_pinned(),
            on_event=events.append,
            should_stop=lambda: False,
            clock=clock,
            monotonic=clock,
        )
        design = Design(tiny_pinned(), store_id=store.store_id)
        trial = next(design.blocks(MACHINE.machine_id, design.passes({}))).trials[1]
        store.commit(trial.attempt_id, parquet_of(trial))
        ended = campaign.run()
    assert ended.ok == 8
    assert len(cluster.started) == 7
    assert trial.attempt_id not in cluster.started


def test_a_row_of_a_lost_agent_counts_from_when_it_was_lost(tmp_path: Path) -> None:
    """By its machine's clock, which may be hours ahead, a block that has rested for hours would seem coherent."""

    class Away(FakeCluster):
        def _run(self, agent: FakeAgent, call: Run, trial: Trial) -> CallResult:
            if len(self.started) != 2:
                return super()._run(agent, call, trial)
            self.started.append(trial.attempt_id)
            ahead = datetime.now(tz=UTC) + timedelta(hours=9)
            agent.outbox[trial.attempt_id] = parquet_of(trial, agent.machine, started_at=ahead)
            self.gone = self.leave(agent.node)
            return CallResult(node=agent.node, call=call, lost="died")

        def answers(self, timeout_s: float) -> Sequence[CallResult]:
            answers = super().answers(timeout_s)
            if len(self.started) == 3 and not self.agents and not answers:
                clock.sleep(2 * COHERENT_S)
                self.join(self.gone)
            return answers

    cluster, events, clock = Away(), list[Event](), Clock()
    cluster.reconnect()
    with open_store(tmp_path / "s", study="tiny") as store:
        ended = Campaign(
            cluster,
            store,
            tiny_pinned(),
            on_event=events.append,
            should_stop=lambda: False,
            limits=WaitLimits(absent_machines_s=4 * COHERENT_S),
            clock=clock,
            monotonic=clock,
            sleep=clock.sleep,
        ).run()
    assert ended.ok == 8
    assert not [event for event in events if isinstance(event, TrialLost)]
    assert any("-r2-" in attempt for attempt in cluster.started)


@pytest.mark.parametrize(("boot_id", "calls"), [("boot", 2), ("another boot", 4)])
def test_work_between_blocks_is_not_done_while_a_trial_runs_on_this_machine(
    tmp_path: Path, boot_id: str, calls: int
) -> None:
    """Two agents run two blocks each, and the second begins its own while the first is in a trial."""
    cluster, clock, done = FakeCluster(machines=("a", "b")), Clock(), list[int]()
    cluster.reconnect()
    with open_store(tmp_path / "s", study="tiny") as store:
        Campaign(
            cluster,
            store,
            tiny_pinned(),
            on_event=lambda event: None,
            should_stop=lambda: False,
            between_blocks=lambda: done.append(len(cluster.started)),
            boot_id=boot_id,
            clock=clock,
            monotonic=clock,
        ).run()
    assert len(cluster.started) == 16
    assert len(done) == calls
    assert done[0] == 0, "before the first trial of the block"
