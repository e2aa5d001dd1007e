"""Options and arguments that several subcommands share: each has one name, one meaning and one help text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def percentage(value: float | None) -> float | None:
    """Return the percentage `value`; raise typer.BadParameter unless it is above 0 and below 1000."""
    if value is not None and not 0 < value < 1000:
        raise typer.BadParameter("give a percentage above 0 and below 1000.")
    return value


_DEFAULT_STORE = "Default: $JOULEFLEET_STORE, else ./joulefleet-store."

StoreToRead = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH|URI",
        help=f"The store to read: a folder, or the URI of a published store. {_DEFAULT_STORE}",
    ),
]
StoreFolder = Annotated[
    Path | None, typer.Option("--store", metavar="PATH", help=f"The folder of the store. {_DEFAULT_STORE}")
]
StoreToWrite = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="PATH",
        help=f"The folder of the store that receives the results; created if it is missing. {_DEFAULT_STORE}",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
StudyName = Annotated[str | None, typer.Option("--study", metavar="NAME", help="Read only this study.")]
PairName = Annotated[str | None, typer.Option("--pair", metavar="NAME", help="Read only the models of this pair.")]
