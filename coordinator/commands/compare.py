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
    pair: Annotated[str | None, typer.Option(metavar="NAME", help="This pair alone.")] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="energy, time, cpu_time, cpu_use or memory alone; may be given several times."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Compare teacher and student: values, ratio, interval.

    The values are medians over trials; the ratio and its 95 % interval are over blocks, in which both ran.
    Modelled energy is marked so in its line. With --metric it is that metric alone.

    \b
    Examples:
      joulefleet compare
      joulefleet compare --store results --pair bert --metric energy --metric time
      joulefleet compare --json | jq '.lines[] | {pair, task: .setting.task, metric, ratio: .ratio.ratio}'
    """
    import json

    from coordinator.comparison_text import comparison_lines
    from coordinator.json_output import plain
    from joulefleet.analysis import Store
    from joulefleet.analysis.compare import compare as compare_arms

    with Store.open(store) as opened:
        comparison = compare_arms(opened, study=study, pair=pair, metrics=metric)
    if as_json:
        typer.echo(json.dumps(plain(comparison), indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(comparison_lines(comparison)))
