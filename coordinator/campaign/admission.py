"""Which agents may take part: those of the coordinator's versions that can do the study, one for each machine. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.service import AgentHello
from joulefleet.study.spec import Study

MUST_AGREE = ("joulefleet", "protocol", "schema")
"""Versions that are the same on all machines: others would measure something else, or write rows of another form."""

MEASURED = ("torch", "transformers", "tokenizers", "numpy")
"""Libraries that the work runs on: the same version on all machines, where the coordinator has them at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an agent may not take part, and what the user can do."""

    why: str
    cure: str
    temporary: bool = False
    """Whether the reason may go away by itself: Ray notices late that a node is gone, and a runner may start late."""


def check_admission(
    hello: AgentHello, *, own: Mapping[str, str], present: Mapping[str, tuple[str, AgentHello]], study: Study
) -> Refusal | None:
    """Return why the agent may not take part in `study`; None where it may.

    `own` are the coordinator's versions, `present` the agents that take part: machine id to node and hello.
    """
    return _check_versions(hello, own) or _check_identity(hello, present) or _check_study(hello, study)


def _check_versions(hello: AgentHello, own: Mapping[str, str]) -> Refusal | None:
    differ = [
        f"{name} {hello.versions.get(name, '(missing)')} instead of {own[name]}"
        for name in (*MUST_AGREE, *MEASURED)
        if name in own and hello.versions.get(name) != own[name]
    ]
    if not differ:
        return None
    return Refusal(
        why=f"{hello.hostname} has {', '.join(differ)}",
        cure="Install the coordinator's versions there: pip install -c constraints.txt 'joulefleet[all]'; "
        "in containers, use images of one build for all.",
    )


def _check_study(hello: AgentHello, study: Study) -> Refusal | None:
    """Return why the machine cannot run every cell of `study`. Blocks hold every cell, so it must."""
    offered = {offer.label: offer for offer in hello.offers}
    lacking = [label for label in study.environments if label not in offered]
    if lacking:
        why = f"{hello.hostname} offers {', '.join(offered)}, and the study needs {', '.join(lacking)}"
        return Refusal(
            why="; ".join([why, *hello.not_offered]),
            cure=f"Start it there: joulefleet runner {lacking[0]}, in that environment. Or name what is there in the "
            f"study: environments: [{', '.join(offered)}].",
            # A runner may start some seconds after its agent.
            temporary=True,
        )
    threads = max(study.factors.threads)
    for label in study.environments:
        limit = offered[label].cpu_limit
        if limit is not None and limit < threads:
            return Refusal(
                why=f"in {label}, {hello.hostname} allows {limit:g} CPUs, and the study has trials of {threads} "
                "threads: they would be paused whenever that is used up",
                cure="Raise the limit (Docker, Podman: --cpus; Compose: cpus; Kubernetes: limits.cpu), or name fewer "
                "threads in the study's factors.threads.",
            )
    return None


def _check_identity(hello: AgentHello, present: Mapping[str, tuple[str, AgentHello]]) -> Refusal | None:
    """Return why the machine may not join while another one with its id takes part."""
    other = present.get(hello.machine.machine_id)
    if other is None:
        return None
    node, known = other
    if (known.boot_id, known.hostname) == (hello.boot_id, hello.hostname):
        return Refusal(
            why=f"{hello.hostname} already has an agent, on node {node}",
            cure="A machine has one node: take the other one down (`joulefleet node down`).",
        )
    if known.hostname == hello.hostname:
        return Refusal(
            why=f"{hello.hostname} already has an agent on node {node}, from another boot of the machine",
            cure="If it was restarted, the other node will go by itself. If two machines made from one image have the "
            "same name and /etc/machine-id, give one of them its own: delete its /etc/machine-id, run "
            "`sudo systemd-machine-id-setup`, restart its node.",
            temporary=True,
        )
    return Refusal(
        why=f"{hello.hostname} has the machine id of {known.hostname} ({hello.machine.machine_id})",
        cure="They were made from one image. Give one of them an id of its own: delete its /etc/machine-id and run "
        "`sudo systemd-machine-id-setup`, then restart its node.",
    )
