"""`joulefleet compare`."""

from __future__ import annotations

from typing import Annotated

import typer


def compare(
    *,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URI", help="A folder, or a published store. Default: $JOULEFLEET_STORE, ./joulefleet-store."
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="This study alone.")] = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="FACTOR",
            help="What is compared: model (student against teacher), environment, machine, task, batch_size, threads "
            "or dtype.",
        ),
    ] = "model",
    reference: Annotated[
        str | None,
        typer.Option(metavar="LEVEL", help="Compare the other levels with this one. Default: the study's first."),
    ] = None,
    pair: Annotated[
        str | None, typer.Option(metavar="NAME", help="This pair alone; by another factor, its models alone.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="energy, time, cpu_time, cpu_use or memory alone (mean_memory of imported data); may be given "
            "several times.",
        ),
    ] = None,
    alpha: Annotated[
        float | None, typer.Option(help="In place of the one that the study states (0.05 where it states none).")
    ] = None,
    every_machine: Annotated[
        bool | None,
        typer.Option(
            "--every-machine/--no-machine", help="Each machine's own lines too. Default: where there are three or less."
        ),
    ] = None,
    mixed: Annotated[
        bool, typer.Option("--mixed", help="Fit a mixed model as a check, from 10 machines on; see --json.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare teacher and student, or the levels of another factor: values, ratio, interval, sentence.

    The values are medians over trials; the ratio and its interval are over blocks, in which both ran, and
    over machines, each of which counts once. What the study stated as primary before its data is corrected
    for the number of its comparisons (Holm); all else is exploratory. Modelled energy is marked so.

    \b
    Sentences begin with
      =  primary: the metric, pairs and tasks that the study stated
      ~  secondary: the other metrics of the same, each a family of its own
      ?  exploratory: not stated, or without blocks

    \b
    Examples:
      joulefleet compare
      joulefleet compare --store results --pair bert --metric energy --metric time
      joulefleet compare --by environment --reference bare
      joulefleet compare --by machine --metric energy
      joulefleet compare --json | jq -r '.findings[].sentence'
    """
    import json

    from coordinator.cli.render.comparison import comparison_lines
    from coordinator.cli.render.json import plain
    from joulefleet.compare.compare import compare as compare_arms
    from joulefleet.query import Store

    if alpha is not None and not 0 < alpha < 1:
        raise typer.BadParameter("a number between 0 and 1.", param_hint="--alpha")
    with Store.open(store) as opened:
        comparison = compare_arms(
            opened,
            study=study,
            pair=pair,
            metrics=metric,
            by=by,
            reference=reference,
            alpha=alpha,
            every_machine=every_machine,
            mixed=mixed,
        )
    if as_json:
        typer.echo(json.dumps(plain(comparison), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(comparison_lines(comparison)))
