"""`joulefleet compact`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compact(
    *,
    store: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Default: $JOULEFLEET_STORE, else ./joulefleet-store.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Put the finished attempts of a store together in few files: a tenth of the space, read at once.

    Nothing changes in what the store says. A file is removed only after its attempt was read back
    from the file that replaces it. It can be stopped at any moment; run again, it goes on.

    \b
    Examples:
      joulefleet compact
      joulefleet compact --store results
      joulefleet compact --store results --json
    """
    import json
    import sys

    from coordinator.cli.render.json import plain
    from coordinator.cli.render.steps import StepLine
    from coordinator.store.writer import open_store
    from joulefleet.store import compaction
    from joulefleet.store.layout import StoreLayout, default_store, read_format

    root = store or default_store()
    read_format(StoreLayout(root))  # what is no store yet is not made one
    line = StepLine(sys.stderr)
    with open_store(root, study="joulefleet compact") as writer:
        try:
            done = compaction.compact(writer.layout, on_step=line)
        finally:
            line.end()
    if as_json:
        print(json.dumps(plain(done), indent=2))
    elif done.files:
        merged = f", {done.merged} small files merged" if done.merged else ""
        print(f"{done.attempts} attempts compacted{merged}: {done.files} new files in {root / 'compacted'}")
    else:
        print("Nothing to compact.")
