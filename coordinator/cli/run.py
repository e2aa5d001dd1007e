"""`joulefleet run`."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coordinator.campaign.campaign import CampaignResult
    from coordinator.cli.interrupts import Interrupts
    from coordinator.cli.render.progress import LiveProgress, PlainProgress
    from coordinator.store.writer import StoreWriter
    from joulefleet.plan.expand import Pinned

COMPACT_AT_LEAST = 500
"""So many loose files are made into one between blocks: a scan of them would take a third of a second."""


def run(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="A study's file, or the name of a shipped study.")],
    *,
    store: Annotated[
        Path | None,
        typer.Option(
            help="Where results go; made where there is none. Default: $JOULEFLEET_STORE, ./joulefleet-store."
        ),
    ] = None,
    address: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Run on the machines of this Ray cluster (see `joulefleet node up`)."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --address, where no node of this machine is up: start one that measures nothing, ended with the "
            "run, on this address, or `auto`.",
        ),
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try again what the infrastructure has failed, time-outs apart.")
    ] = False,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Try again what failed twice by itself.")
    ] = False,
    until_precision: Annotated[
        float | None,
        typer.Option(
            "--until-precision",
            metavar="PERCENT",
            help="Add blocks until the ends of the primary intervals are so near the ratio; from 10 pilot blocks on.",
        ),
    ] = None,
    at_most: Annotated[
        int, typer.Option("--at-most", metavar="BLOCKS", help="With a precision: never more blocks than these.")
    ] = 100,
    local: Annotated[bool, typer.Option("--local", help="Measure in this process, without Ray.")] = False,
) -> None:
    """Run what is missing of STUDY on this machine, or on every machine of a cluster.

    What the store already holds is never run again, so the same command resumes after any
    interruption. Ctrl-C once finishes the present trial and stops; twice stops now.

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

    from coordinator.campaign.two_stage import TwoStage
    from coordinator.cli.interrupts import Interrupts
    from coordinator.cli.render.progress import LiveProgress, PlainProgress
    from coordinator.planning.resolve import resolve
    from coordinator.store.study_record import check_not_imported
    from coordinator.store.writer import open_store
    from joulefleet.errors import EXIT_INTERRUPTED
    from joulefleet.store.layout import default_store
    from joulefleet.study.load import load_study

    _check_options(until_precision=until_precision, local=local, address=address, listen=listen)
    where = "" if store is None else f" --store {shlex.quote(str(store))}"
    how = " --local" if local else "" if address is None else f" --address {address}"
    how += "" if listen is None else f" --listen {listen}"
    how += "" if until_precision is None else f" --until-precision {until_precision:g} --at-most {at_most}"
    again = f"joulefleet run {shlex.quote(study)}{where}{how}"
    wanted = {"failed": retry_failed, "quarantined": retry_quarantined}
    asked, base = load_study(study)
    if until_precision is not None:
        asked = replace(asked, primary=replace(asked.primary, precision_percent=until_precision))
    pinned = resolve(asked, base)
    stages = TwoStage(pinned.study, at_most=at_most)
    root = store or default_store()
    progress = LiveProgress(asked.name) if sys.stderr.isatty() else PlainProgress(sys.stderr)
    try:
        with open_store(root, study=asked.name) as writer, Interrupts() as interrupts, _beside(address, listen):
            interrupts.notify = progress.note
            check_not_imported(asked.name, writer.last_record(asked.name))
            while True:
                ended = _run(
                    writer,
                    replace(pinned, study=stages.study(writer.last_record(asked.name))),
                    progress,
                    interrupts,
                    local=local,
                    address=address,
                    retry=frozenset(name for name, again in wanted.items() if again),
                )
                if ended.stopped or ended.missing or not stages.needs_more(root, note=progress.note):
                    break
    except KeyboardInterrupt:
        print(f"Stopped. What was finished is in the store; `{again}` goes on from here.", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    _say_how_it_ended(ended, where=where, again=again)


def _say_how_it_ended(ended: CampaignResult, *, where: str, again: str) -> None:
    """And end with the exit code of it."""
    import sys

    from joulefleet.errors import EXIT_FAILED_TRIALS, EXIT_INTERRUPTED

    if ended.stopped:
        print(f"Stopped after a finished trial. `{again}` goes on from here.", file=sys.stderr)
        raise typer.Exit(EXIT_INTERRUPTED)
    print(
        f"{ended.ok} of {ended.total} trials ok, {ended.failed} failed. Next: joulefleet compare{where}",
        file=sys.stderr,
    )
    if ended.missing:
        gone = [f"{name} has gone" for name in ended.absent]
        aside = [f"{name} was set aside (see above)" for name in ended.set_aside]
        why = f", as {', '.join(gone + aside)}" if gone or aside else ""
        print(f"{ended.missing} are missing{why}: when that is mended, `{again}`.", file=sys.stderr)
    if ended.not_back:
        names = ", ".join(ended.not_back)
        print(f"Not back from an earlier run, with trials left: {names}. When they are, `{again}`.", file=sys.stderr)
    if ended.failed or ended.missing:
        raise typer.Exit(EXIT_FAILED_TRIALS)


def _check_options(*, until_precision: float | None, local: bool, address: str | None, listen: str | None) -> None:
    if until_precision is not None and not 0 < until_precision < 1000:
        raise typer.BadParameter("a percentage above 0 and below 1000.", param_hint="--until-precision")
    if local and address is not None:
        raise typer.BadParameter("either this process or a cluster.", param_hint="--local")
    if listen is not None and address is None:
        raise typer.BadParameter("it belongs to --address.", param_hint="--listen")


def _beside(address: str | None, listen: str | None) -> AbstractContextManager[None]:
    if address is None or listen is None:
        return nullcontext()
    from agent.config import state_folder
    from coordinator.cluster.ray.node.foreground import beside

    return beside(address, listen, state=state_folder())


def _run(
    writer: StoreWriter,
    pinned: Pinned,
    progress: LiveProgress | PlainProgress,
    interrupts: Interrupts,
    *,
    local: bool,
    address: str | None,
    retry: frozenset[str],
) -> CampaignResult:
    from coordinator.events.events import Event
    from coordinator.events.live_file import LiveFile
    from coordinator.planning.diff import changes
    from coordinator.store.study_record import study_record
    from joulefleet.errors import MachineError, StoreError, SupersededError
    from joulefleet.store.compaction import compact

    try:
        from agent.host.machine import boot_id
        from coordinator.campaign.campaign import Campaign
        from coordinator.cluster.interface import Command
        from coordinator.cluster.open import open_cluster
    except ImportError as error:
        raise MachineError(
            f"what measures is not installed here ({error.name}).", cure="pip install 'joulefleet[all]'."
        ) from error
    before = writer.last_record(pinned.study.name)
    for line in changes(before, study_record(pinned, machines={}, places={}, store=writer)):
        progress.note(line)
    command = Command(store_id=writer.store_id, epoch=writer.epoch)
    cluster = open_cluster(command, local=local, address=address)
    interrupts.install()
    live = LiveFile(writer.layout)

    def on_event(event: Event) -> None:
        progress(event)
        live(event)

    def compact_rows() -> None:
        try:
            compact(writer.layout, at_least=COMPACT_AT_LEAST)
        except StoreError as error:
            progress.note(f"{error} The study goes on.")

    try:
        # A run on this machine alone is no fleet: other machines of its store are not waited for.
        fleet = address is not None and pinned.study.placement == "every-machine"
        known = {entry["machine_id"]: entry["name"] for entry in before.get("machines", [])} if fleet else {}
        campaign = Campaign(
            cluster,
            writer,
            pinned,
            on_event=on_event,
            should_stop=interrupts.requested,
            between_blocks=compact_rows,
            boot_id=boot_id(Path("/proc")),
            retry=retry,
            known=known,
        )
        with progress.shown():
            return campaign.run()
    except SupersededError as error:
        raise writer.above(error.highest) or error from error
    finally:
        cluster.close()
        live.close()
