"""`joulefleet run`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import StoreToWrite, percentage

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from coordinator.campaign.campaign import CampaignResult
    from coordinator.cli.render.progress import LiveProgress, PlainProgress
    from joulefleet.plan.expand import Pinned


def run(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped study.")],
    *,
    store: StoreToWrite = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Run on the machines of this Ray cluster (see `joulefleet node up`)."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --address, if no node of this machine is up: start one for the duration of the run, which "
            "measures nothing and listens on this address (or `auto`).",
        ),
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Run trials again that failed because of the infrastructure: a lost agent, a killed process.",
        ),
    ] = False,
    retry_quarantined: Annotated[
        bool,
        typer.Option(
            "--retry-quarantined", help="Run trials again that are in quarantine: the work itself failed twice."
        ),
    ] = False,
    until_precision: Annotated[
        float | None,
        typer.Option(
            "--until-precision",
            metavar="PERCENT",
            callback=percentage,
            help="After 10 or more pilot blocks, add as many blocks as the primary intervals need for their ends to be "
            "this close to the ratio.",
        ),
    ] = None,
    at_most: Annotated[
        int, typer.Option("--at-most", metavar="BLOCKS", help="With a precision: the greatest number of blocks.")
    ] = 100,
    local: Annotated[bool, typer.Option("--local", help="Measure in this process, without Ray.")] = False,
) -> None:
    """Run what is missing of STUDY on this machine, or on every machine of a cluster.

    Trials that the store already holds are not run again, so the same command continues after any
    interruption. Press Ctrl-C once to stop after the present trial, twice to stop at once.

    \b
    Examples:
      joulefleet run quick
      joulefleet run cain2024 --store results
      joulefleet run cain2024 --store results --address 192.0.2.7:6379
      joulefleet run cain2024 --address head:6379 --listen auto
      joulefleet run my-study.yaml --until-precision 3
      joulefleet run my-study.yaml --store results 2> progress.log
    """
    import shlex
    import sys
    from dataclasses import replace

    from coordinator.cli.render.progress import LiveProgress, PlainProgress
    from coordinator.planning.resolve import resolve
    from joulefleet.errors import EXIT_INTERRUPTED
    from joulefleet.store.layout import default_store
    from joulefleet.study.load import load_study

    if local and address is not None:
        raise typer.BadParameter("give either --local or --address.", param_hint="--local")
    if listen is not None and address is None:
        raise typer.BadParameter("give --address as well.", param_hint="--listen")
    where = "" if store is None else f" --store {shlex.quote(str(store))}"
    again = f"joulefleet run {shlex.quote(study)}{where}"
    again += " --local" if local else "" if address is None else f" --address {address}"
    again += "" if listen is None else f" --listen {listen}"
    again += "" if until_precision is None else f" --until-precision {until_precision:g} --at-most {at_most}"
    retry = frozenset(["failed"] * retry_failed + ["quarantined"] * retry_quarantined)
    requested, base = load_study(study)
    if until_precision is not None:
        requested = replace(requested, primary=replace(requested.primary, precision_percent=until_precision))
    pinned = resolve(requested, base)
    progress = LiveProgress(requested.name) if sys.stderr.isatty() else PlainProgress(sys.stderr)
    try:
        result = _run_stages(
            pinned,
            store or default_store(),
            progress,
            at_most=at_most,
            local=local,
            address=address,
            listen=listen,
            retry=retry,
        )
    except KeyboardInterrupt:
        print(f"Stopped. All finished trials are in the store; `{again}` continues from here.", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _report(result, where=where, again=again)


def _run_stages(
    pinned: Pinned,
    root: Path,
    progress: LiveProgress | PlainProgress,
    *,
    at_most: int,
    local: bool,
    address: str | None,
    listen: str | None,
    retry: frozenset[str],
) -> CampaignResult:
    """Run the stages of a study one after the other; return how the last one ended."""
    from contextlib import closing
    from dataclasses import replace

    from coordinator.campaign.two_stage import TwoStage
    from coordinator.cli.interrupts import Interrupts
    from coordinator.planning.diff import changes
    from coordinator.store.study_record import check_not_imported, study_record
    from coordinator.store.writer import open_store
    from joulefleet.errors import MachineError

    try:
        from coordinator.campaign.stage import run_stage
        from coordinator.cluster import open_cluster
        from coordinator.cluster.interface import Command
    except ImportError as error:
        raise MachineError(
            f"the packages that measure are not installed here ({error.name} is missing).",
            cure="pip install 'joulefleet[all]'.",
        ) from error
    name = pinned.study.name
    stages = TwoStage(pinned.study, at_most=at_most)
    with open_store(root, study=name) as writer, Interrupts() as interrupts, _node_for_run(address, listen):
        interrupts.notify = progress.note
        check_not_imported(name, writer.last_record(name))
        command = Command(store_id=writer.store_id, epoch=writer.epoch)
        while True:
            before = writer.last_record(name)
            stage = replace(pinned, study=stages.study(before))
            for line in changes(before, study_record(stage, machines={}, places={}, store=writer)):
                progress.note(line)
            with closing(open_cluster(command, local=local, address=address)) as cluster:
                interrupts.install()  # Ray has installed handlers of its own
                with progress.shown():
                    result = run_stage(
                        cluster,
                        writer,
                        stage,
                        on_event=progress,
                        note=progress.note,
                        should_stop=interrupts.requested,
                        retry=retry,
                        is_fleet=address is not None,
                    )
            if result.stopped or result.missing or not stages.needs_more(root, note=progress.note):
                return result


def _node_for_run(address: str | None, listen: str | None) -> AbstractContextManager[None]:
    """Return a context in which this machine has a node in the cluster at `address`, if `listen` is given."""
    from contextlib import nullcontext

    if address is None or listen is None:
        return nullcontext()
    from agent.config import state_folder
    from coordinator.cluster.ray.node.foreground import coordinator_node

    return coordinator_node(address, listen, state=state_folder())


def _report(result: CampaignResult, *, where: str, again: str) -> None:
    """Print how the run ended and what to do next; raise typer.Exit unless every trial is there and ok."""
    import sys

    from joulefleet.errors import EXIT_FAILED_TRIALS, EXIT_INTERRUPTED

    if result.stopped:
        print(f"Stopped after a finished trial. `{again}` continues from here.", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED)
    print(
        f"{result.ok} of {result.total} trials ok, {result.failed} failed. Next: joulefleet compare{where}",
        file=sys.stderr,
    )
    if result.missing:
        reasons = [f"{name} has gone" for name in result.absent]
        reasons += [f"{name} was set aside (see above)" for name in result.set_aside]
        why = f" because {', '.join(reasons)}" if reasons else ""
        print(f"{result.missing} trials are missing{why}. Fix this, then run `{again}`.", file=sys.stderr)
    if result.not_back:
        names = ", ".join(result.not_back)
        print(
            f"Machines of an earlier run that have trials left and did not come back: {names}. Once they are back, "
            f"run `{again}`.",
            file=sys.stderr,
        )
    if result.failed or result.missing:
        raise typer.Exit(EXIT_FAILED_TRIALS)
