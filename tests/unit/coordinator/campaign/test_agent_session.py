"""What the campaign keeps of one agent, from its hello until it is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coordinator.campaign.agent_session import SLACK_S, AgentSession, preparation_items
from coordinator.cluster.interface import Acknowledge, Fetch, Prepare, Run
from tests.support.fake_cluster import FakeAgent
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned, tiny_trial

HELLO = FakeAgent(node="node").hello()
WORK = preparation_items(tiny_pinned())
NOW_S = 1000.0


@pytest.fixture
def session() -> AgentSession:
    """Return the session of an agent that holds two attempts of an earlier run."""
    return AgentSession("node", replace(HELLO, waiting=("a", "b")), WORK)


def test_attempts_of_an_earlier_run_are_fetched_once_each(session: AgentSession) -> None:
    """In the order of the hello, and before anything else."""
    assert [session.next_fetch(), session.next_fetch()] == [Fetch(attempt_id="a"), Fetch(attempt_id="b")]
    assert session.next_fetch() is None


def test_committed_attempts_are_acknowledged_once(session: AgentSession) -> None:
    """The agent drops them with its next call."""
    session.committed("a")
    session.committed("b")
    assert session.take_acknowledgements() == ("a", "b")
    assert session.take_acknowledgements() == ()


def test_a_session_has_one_call_and_its_trial(session: AgentSession) -> None:
    """Both are gone when the call is answered."""
    trial = tiny_trial()
    call = Run(trial=trial)
    session.begin(call, now_s=NOW_S, trial=trial)
    assert (session.call, session.trial) == (call, trial)
    assert session.end_call() == trial
    assert (session.call, session.trial) == (None, None)


def test_a_trial_is_overdue_some_time_after_its_own_time_out_and_cool_down(session: AgentSession) -> None:
    """An agent that hangs is told of once."""
    trial = tiny_trial()
    longest_s = trial.timeout_s + trial.protocol.timing.cool_down_at_most_s + SLACK_S
    session.begin(Run(trial=trial), now_s=NOW_S, trial=trial)
    assert not session.is_overdue(NOW_S + longest_s)
    assert session.is_overdue(NOW_S + longest_s + 1)
    assert not session.is_overdue(NOW_S + longest_s + 2)


def test_a_short_call_is_overdue_sooner_and_preparation_never(session: AgentSession) -> None:
    """Weights may have to be downloaded; an idle agent owes nothing."""
    session.begin(Acknowledge(attempt_ids=("a",)), now_s=NOW_S)
    assert session.is_overdue(NOW_S + SLACK_S + 1)
    session.begin(Prepare(work=()), now_s=NOW_S)
    assert not session.is_overdue(NOW_S + 1e6)
    session.begin(Fetch(attempt_id="a"), now_s=NOW_S)
    session.end_call()
    assert not session.is_overdue(NOW_S + 1e6)


def test_items_are_prepared_one_after_the_other(session: AgentSession) -> None:
    """An item that could not be prepared comes again."""
    first = session.to_prepare
    assert first is not None
    assert first == session.to_prepare == WORK[0]
    for number in range(1, session.to_prepare_in_all):
        session.note_prepared()
        assert session.to_prepare == WORK[number]
    session.note_prepared()
    assert session.to_prepare is None


def test_a_block_is_entered_once_in_each_round(session: AgentSession) -> None:
    """Its start is reported at its first trial alone."""
    assert session.enter_block(1, 1)
    assert not session.enter_block(1, 1)
    assert session.enter_block(1, 2)
    assert session.enter_block(2, 1)


def test_that_nothing_is_left_is_news_until_something_is(session: AgentSession) -> None:
    """A machine may get work again when another one leaves."""
    assert [session.set_done(True), session.set_done(True)] == [True, False]
    assert not session.set_done(False)
    assert session.set_done(True)


def test_every_model_is_prepared_for_every_task_that_it_does() -> None:
    """Once for each set of files: two tasks of other labels need two heads, and a second name of a model needs none."""
    assert [name for name, _, _ in WORK] == ["big for one", "big for two", "small for one", "small for two"]
    same_files = changed(TINY_STUDY, {"tasks.two.preset": "sst2"})
    assert [name for name, _, _ in preparation_items(tiny_pinned(same_files))] == ["big for one", "small for one"]
