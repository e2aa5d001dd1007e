"""Who may take part: an agent of the same versions, one a machine, and every machine with an id of its own. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent.service import AgentHello
from joulefleet.study.spec import Study

MUST_AGREE = ("joulefleet", "protocol", "schema")
"""An agent of other versions would measure something else, or write rows that are not understood."""

MEASURED = ("torch", "transformers", "tokenizers", "numpy")
"""What the work runs on: machines of one study have the same, where the coordinator has it at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why an agent is turned away, and what helps."""

    why: str
    cure: str
    perhaps_not: bool = False
    """It may be otherwise in a moment, when Ray has noticed that a node is gone."""


def refusal(
    hello: AgentHello, *, own: Mapping[str, str], present: Mapping[str, tuple[str, AgentHello]], study: Study
) -> Refusal | None:
    """Why the agent may not take part in `study`; None: it may.

    `own` are the coordinator's versions, `present` the agents that take part: machine id to node and hello.
    """
    return _of_versions(hello, own) or _of_identity(hello, present) or _of_study(hello, study)


def _of_versions(hello: AgentHello, own: Mapping[str, str]) -> Refusal | None:
    differ = [
        f"{name} {hello.versions.get(name, 'is not there')} instead of {own[name]}"
        for name in (*MUST_AGREE, *MEASURED)
        if name in own and hello.versions.get(name) != own[name]
    ]
    if not differ:
        return None
    return Refusal(
        why=f"{hello.host} has {', '.join(differ)}",
        cure="Install the coordinator's versions there: pip install -c constraints.txt 'joulefleet[all]'; "
        "in containers, use images of one build for all.",
    )


def _of_study(hello: AgentHello, study: Study) -> Refusal | None:
    """Blocks hold every cell, so a machine that cannot do some of them can do none."""
    offered = {offer.label: offer for offer in hello.offers}
    lacking = [label for label in study.environments if label not in offered]
    if lacking:
        why = f"{hello.host} has work done in {', '.join(offered)}, and the study wants {', '.join(lacking)}"
        return Refusal(
            why="; ".join([why, *hello.not_offered]),
            cure=f"Start it there: joulefleet runner {lacking[0]}, in that environment. Or name what is there in the "
            f"study: environments: [{', '.join(offered)}].",
            # A runner may start some seconds after its agent.
            perhaps_not=True,
        )
    threads = max(study.factors.threads)
    for label in study.environments:
        limit = offered[label].cpu_limit
        if limit is not None and limit < threads:
            return Refusal(
                why=f"in {label}, {hello.host} allows {limit:g} CPUs, and the study has trials of {threads} threads: "
                "they would be stopped whenever that is used up",
                cure="Raise the limit (Docker, Podman: --cpus; Compose: cpus; Kubernetes: limits.cpu), or name fewer "
                "threads in the study's factors.threads.",
            )
    return None


def _of_identity(hello: AgentHello, present: Mapping[str, tuple[str, AgentHello]]) -> Refusal | None:
    other = present.get(hello.machine.machine_id)
    if other is None:
        return None
    node, known = other
    if (known.boot_id, known.host) == (hello.boot_id, hello.host):
        return Refusal(
            why=f"{hello.host} has an agent already, on node {node}",
            cure="One node a machine: take the other one down.",
        )
    if known.host == hello.host:
        return Refusal(
            why=f"{hello.host} is there already, on node {node}, from another start of the machine",
            cure="If it was restarted, the other node will go by itself. If two machines made from one image have the "
            "same name and /etc/machine-id, give one of them its own: delete its /etc/machine-id, run "
            "`sudo systemd-machine-id-setup`, restart its node.",
            perhaps_not=True,
        )
    return Refusal(
        why=f"{hello.host} has the machine id of {known.host} ({hello.machine.machine_id})",
        cure="They were made from one image. Give one of them an id of its own: delete its /etc/machine-id and run "
        "`sudo systemd-machine-id-setup`, then restart its node.",
    )
