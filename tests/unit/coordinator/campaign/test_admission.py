"""Which agents may take part in a study."""

from __future__ import annotations

from dataclasses import replace

from agent.runner.discovery import Offer
from agent.service import AgentHello, versions
from coordinator.campaign.admission import check_admission
from tests.support.fake_cluster import FakeAgent
from tests.support.tiny_trials import tiny_pinned

HELLO = FakeAgent(node="a").hello()
OWN = versions()
STUDY = tiny_pinned().study


def test_an_agent_of_the_same_versions_is_welcome() -> None:
    """A library that the coordinator lacks may have any version."""
    assert check_admission(HELLO, own=OWN, present={}, study=STUDY) is None
    assert (
        check_admission(
            HELLO, own={name: OWN[name] for name in ("joulefleet", "protocol", "schema")}, present={}, study=STUDY
        )
        is None
    )


def test_another_version_is_refused_with_both() -> None:
    """It would measure something else, or write rows of another form."""
    for name in ("joulefleet", "protocol", "schema", "torch"):
        other = replace(HELLO, versions=dict(HELLO.versions) | {name: "0"})
        refused = check_admission(other, own=OWN, present={}, study=STUDY)
        assert refused is not None
        assert f"{name} 0 instead of {OWN[name]}" in refused.why
        assert "pip install" in refused.cure
    without: AgentHello = replace(HELLO, versions={})
    refused = check_admission(without, own=OWN, present={}, study=STUDY)
    assert refused is not None
    assert "(missing)" in refused.why


def test_an_agent_must_have_every_environment_of_the_study() -> None:
    """Blocks hold every cell. The refusal also says why a runner that was found cannot be used."""
    wants = replace(STUDY, environments=("bare", "pod"))
    refused = check_admission(
        replace(HELLO, not_offered=("the runner of pod is old",)), own=OWN, present={}, study=wants
    )
    assert refused is not None
    assert "the study needs pod; the runner of pod is old" in refused.why
    assert "joulefleet runner pod" in refused.cure
    assert "environments: [bare]" in refused.cure
    both = replace(HELLO, offers=(*HELLO.offers, Offer(label="pod", cpus=4, cpu_limit=None)))
    assert check_admission(both, own=OWN, present={}, study=wants) is None


def test_a_quota_below_the_studys_threads_is_refused() -> None:
    """They would be paused again and again. Threads 0 means as many as there are, which fits every machine."""
    limited = replace(HELLO, offers=(Offer(label="bare", cpus=1, cpu_limit=1.5),))
    for threads, fits in (((0,), True), ((1,), True), ((1, 2), False)):
        study = replace(STUDY, environments=("bare",), factors=replace(STUDY.factors, threads=threads))
        refused = check_admission(limited, own=OWN, present={}, study=study)
        assert (refused is None) is fits, threads
        if refused is not None:
            assert "1.5 CPUs" in refused.why
            assert "limits.cpu" in refused.cure


def test_one_machine_has_one_agent() -> None:
    """A second node of one host and another host with its id are refused, each with its own cure."""
    present = {"machine": ("first", HELLO)}
    same = check_admission(HELLO, own=OWN, present=present, study=STUDY)
    other = check_admission(
        replace(HELLO, hostname="elsewhere", boot_id="other"), own=OWN, present=present, study=STUDY
    )
    assert same is not None
    assert other is not None
    assert "already" in same.why
    assert "systemd-machine-id-setup" in other.cure


def test_a_machine_that_was_restarted_is_no_copy_of_itself() -> None:
    """Its old node may stay for some seconds: the refusal is temporary, and nobody has to delete a machine id."""
    refused = check_admission(
        replace(HELLO, boot_id="other"), own=OWN, present={"machine": ("first", HELLO)}, study=STUDY
    )
    assert refused is not None
    assert refused.temporary
    assert "from another boot of the machine" in refused.why
