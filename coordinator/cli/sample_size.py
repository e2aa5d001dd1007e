"""`joulefleet sample-size`."""

from __future__ import annotations

from typing import Annotated

import typer


def sample_size(
    *,
    precision: Annotated[
        float, typer.Option(metavar="PERCENT", help="How far the interval's ends may be from the ratio.")
    ] = 5.0,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URI", help="A folder, or a published store. Default: $JOULEFLEET_STORE, ./joulefleet-store."
        ),
    ] = None,
    study: Annotated[str | None, typer.Option(metavar="NAME", help="This study alone.")] = None,
    pair: Annotated[str | None, typer.Option(metavar="NAME", help="This pair alone.")] = None,
    metric: Annotated[str, typer.Option(metavar="NAME", help="energy, time, cpu_time, cpu_use or memory.")] = "energy",
    within: Annotated[
        float | None,
        typer.Option(metavar="PERCENT", help="State how the ratio varies between blocks; needs no store."),
    ] = None,
    between: Annotated[
        float | None, typer.Option(metavar="PERCENT", help="State how it varies between machines; with --within.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the sizes as JSON.")] = False,
) -> None:
    """How many machines, and blocks on each, for a ratio as precise as is wanted.

    From the blocks that a store has (a pilot study of ten blocks is a good beginning), or from stated
    variation, as standard deviations in per cent. Where machines differ more than blocks, no number of
    blocks is enough: then more machines are.

    \b
    Examples:
      joulefleet sample-size --store results --precision 3
      joulefleet sample-size --store results --pair bert --metric time
      joulefleet sample-size --within 4 --between 10 --precision 5
    """
    import json
    import math

    from coordinator.cli.render.json import plain
    from coordinator.cli.render.sample_size import sizing_lines, stated_lines
    from joulefleet.compare.sample_size import sizing, stated
    from joulefleet.query import Store

    if between is not None and within is None:
        raise typer.BadParameter("state --within as well.", param_hint="--between")
    for name, value in (("--precision", precision), ("--within", within)):
        if value is not None and not 0 < value < 1000:
            raise typer.BadParameter("a percentage above 0 and below 1000.", param_hint=name)
    if between is not None and not 0 <= between < 1000:
        raise typer.BadParameter("a percentage from 0 to below 1000.", param_hint="--between")
    factor = 1 + precision / 100
    if within is not None:
        variances = [None if value is None else math.log1p(value / 100) ** 2 for value in (within, between)]
        sizes = stated(variances[0] or 0.0, variances[1], factor=factor)
        typer.echo(json.dumps(plain(sizes), indent=2) if as_json else "\n".join(stated_lines(sizes)))
        return
    with Store.open(store) as opened:
        found = sizing(opened, factor=factor, study=study, pair=pair, metric=metric)
    typer.echo(json.dumps(plain(found), indent=2) if as_json else "\n".join(sizing_lines(found, precision)))
