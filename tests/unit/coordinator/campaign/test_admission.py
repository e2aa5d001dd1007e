from dataclasses import replace

from agent.runner.discovery import Offer
from agent.service import AgentHello, versions
from coordinator.campaign.admission import check_admission
from coordinator.scheduling.machine_class import machine_class
from tests.support.cluster import MACHINE, FakeAgent
from tests.support.trials import tiny_pinned

HELLO = FakeAgent(node="a").hello()
OWN = versions()
STUDY = tiny_pinned().study


def test_an_agent_of_the_same_versions_is_welcome() -> None:
    """With what the coordinator has not, it may have anything."""
    assert check_admission(HELLO, own=OWN, present={}, study=STUDY) is None
    assert (
        check_admission(
            HELLO, own={name: OWN[name] for name in ("joulefleet", "protocol", "schema")}, present={}, study=STUDY
        )
        is None
    )


def test_another_version_is_refused_with_both() -> None:
    """It would measure something else, or write rows that are not understood."""
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
    """Blocks hold every cell. Why a runner that was found cannot be used is said too."""
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
    """They would be stopped again and again. As many as there are (0) adapt themselves."""
    limited = replace(HELLO, offers=(Offer(label="bare", cpus=1, cpu_limit=1.5),))
    for threads, fits in (((0,), True), ((1,), True), ((1, 2), False)):
        study = replace(STUDY, environments=("bare",), factors=replace(STUDY.factors, threads=threads))
        refused = check_admission(limited, own=OWN, present={}, study=study)
        assert (refused is None) is fits, threads
        if refused is not None:
            assert "1.5 CPUs" in refused.why
            assert "limits.cpu" in refused.cure


def test_one_machine_has_one_agent() -> None:
    """A second node of the same host, and another host of the same id, each with its own cure."""
    present = {"machine": ("first", HELLO)}
    same = check_admission(HELLO, own=OWN, present=present, study=STUDY)
    other = check_admission(replace(HELLO, host="elsewhere", boot_id="other"), own=OWN, present=present, study=STUDY)
    assert same is not None
    assert other is not None
    assert "already" in same.why
    assert "systemd-machine-id-setup" in other.cure


def test_a_machine_that_was_restarted_is_no_copy_of_itself() -> None:
    """Its old node may be there for some seconds more: nobody is told to delete a machine id."""
    refused = check_admission(
        replace(HELLO, boot_id="other"), own=OWN, present={"machine": ("first", HELLO)}, study=STUDY
    )
    assert refused is not None
    assert refused.temporary
    assert "from another boot of the machine" in refused.why


def test_memory_counts_as_it_is_sold() -> None:
    """What the kernel sees of 16 GB is 15.4 to 15.7 GiB, by firmware and graphics."""

    def of(gib: float) -> str:
        return machine_class(replace(MACHINE, memory_bytes=int(gib * 2**30)))

    assert of(15.499) == of(15.501) == of(14.9) == of(16)
    assert of(23.4) == of(24) != of(31.2)
    assert of(251.6) == of(256) != of(187)


def test_a_class_is_made_of_what_decides_the_speed() -> None:
    """Not of names, ids, or a few megabytes that the firmware keeps."""
    machine = replace(MACHINE, memory_bytes=64 * 2**30)
    assert machine_class(machine) == machine_class(
        replace(machine, machine_id="b", name="b", memory_bytes=64 * 2**30 - 5_000_000)
    )
    for other in (replace(machine, cpu_model="x"), replace(machine, logical_cpus=2), replace(machine, sockets=2)):
        assert machine_class(other) != machine_class(machine)
