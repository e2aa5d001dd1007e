"""`joulefleet sample-size`."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.options import AsJson, PairName, StoreToRead, StudyName, percentage


def sample_size(
    *,
    precision: Annotated[
        float,
        typer.Option(
            metavar="PERCENT",
            callback=percentage,
            help="The precision wanted: how far the ends of the interval may be from the ratio.",
        ),
    ] = 5.0,
    store: StoreToRead = None,
    study: StudyName = None,
    pair: PairName = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="energy, time, cpu_time, cpu_use or memory.")] = "energy",
    within: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            callback=percentage,
            help="Assume this standard deviation of the ratio between blocks; no store is read then.",
        ),
    ] = None,
    between: Annotated[
        float | None,
        typer.Option(
            metavar="PERCENT",
            min=0,
            max=1000,
            help="Assume this standard deviation of the ratio between machines; needs --within.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show how many machines, and how many blocks on each, give a ratio with the precision wanted.

    The variation is estimated from the blocks in a store (a pilot study of ten blocks is a good beginning),
    or given as standard deviations in per cent. Where the machines differ much, more blocks do not help and
    only more machines do; the table then says so.

    \b
    Examples:
      joulefleet sample-size --store results --precision 3
      joulefleet sample-size --store results --pair bert --metric time
      joulefleet sample-size --within 4 --between 10 --precision 5
    """
    import math

    from coordinator.cli.render.json import json_text
    from coordinator.cli.render.sample_size import sizing_lines, stated_lines
    from joulefleet.compare.sample_size import sizing, stated
    from joulefleet.query import Store

    if between is not None and within is None:
        raise typer.BadParameter("give --within as well.", param_hint="--between")
    factor = 1 + precision / 100
    if within is not None:
        block, machine = (None if value is None else math.log1p(value / 100) ** 2 for value in (within, between))
        sizes = stated(block or 0.0, machine, factor=factor)
        typer.echo(json_text(sizes) if as_json else "\n".join(stated_lines(sizes)))
        return
    with Store.open(store) as opened:
        sizings = sizing(opened, factor=factor, study=study, pair=pair, metric=metric)
    typer.echo(json_text(sizings) if as_json else "\n".join(sizing_lines(sizings, precision)))
