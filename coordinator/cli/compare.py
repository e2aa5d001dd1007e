"""`joulefleet compare`."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.options import AsJson, PairName, StoreToRead, StudyName


def compare(
    *,
    store: StoreToRead = None,
    study: StudyName = None,
    by: Annotated[
        str,
        typer.Option(
            metavar="FACTOR",
            help="The factor whose levels are compared: model (student against teacher), environment, machine, task, "
            "batch_size, threads or dtype.",
        ),
    ] = "model",
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="LEVEL", help="The level that the other levels are compared with. Default: the study's first."
        ),
    ] = None,
    pair: PairName = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Compare only this metric: energy, time, cpu_time, cpu_use or memory (for imported data also "
            "mean_memory). Can be given several times.",
        ),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(help="Significance level. Default: the one that the study states, else 0.05."),
    ] = None,
    every_machine: Annotated[
        bool | None,
        typer.Option(
            "--every-machine/--no-machine",
            help="Whether to show the results of each machine too. Default: only if there are at most three machines.",
        ),
    ] = None,
    mixed: Annotated[
        bool,
        typer.Option("--mixed", help="Fit a mixed model as a check; needs 10 machines. --json shows the result."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare teacher and student, or the levels of another factor: values, ratio, interval and conclusion.

    The values are medians over trials. The ratio and its interval are computed over the blocks in which both
    ran, and over machines, each of which counts once. The p-values of the primary comparisons, which the
    study stated before it had data, are corrected together for their number (Holm). The p-values of each
    secondary metric are corrected together in the same way.
    Exploratory results are not corrected. Modelled energy is labelled as modelled.

    \b
    Each conclusion begins with
      =  primary: the metric, pairs and tasks that the study stated
      ~  secondary: the other metrics of the same pairs and tasks, each a family of its own
      ?  exploratory: not stated, or without blocks

    \b
    Examples:
      joulefleet compare
      joulefleet compare --store results --pair bert --metric energy --metric time
      joulefleet compare --by environment --reference bare
      joulefleet compare --by machine --metric energy
      joulefleet compare --json | jq -r '.findings[].sentence'
    """
    from coordinator.cli.render.comparison import comparison_lines
    from coordinator.cli.render.json import json_text
    from joulefleet.compare.compare import compare as compare_arms
    from joulefleet.query import Store

    if alpha is not None and not 0 < alpha < 1:
        raise typer.BadParameter("give a number between 0 and 1.", param_hint="--alpha")
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
    typer.echo(json_text(comparison) if as_json else "\n".join(comparison_lines(comparison)))
