"""`joulefleet plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plan(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="A study's file, or the name of a shipped study.")
    ] = None,
    store: Annotated[
        Path | None,
        typer.Option(help="A store, to say what is already done. Default: $JOULEFLEET_STORE, ./joulefleet-store."),
    ] = None,
    trials: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also write each trial as a file for `python -m agent`.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a study file, for editors.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Show what STUDY would run here: cells, blocks, order, duration expected. Runs nothing.

    \b
    Examples:
      joulefleet plan quick
      joulefleet plan my-study.yaml --store results
      joulefleet plan --schema > study.schema.json
      joulefleet plan quick --trials trials
    """
    import json

    from coordinator.cli.render.plan import outlook_json, outlook_text
    from coordinator.planning.preview import look_ahead, write_trials
    from coordinator.planning.resolve import resolve
    from joulefleet.store.layout import default_store
    from joulefleet.study.load import load_study, shipped_studies, study_json_schema

    if schema:
        print(json.dumps(study_json_schema(), indent=2))
        return
    if study is None:
        print("Name a STUDY: a file, or a shipped one:")
        for name in shipped_studies():
            print(f"  {name:12} {load_study(name)[0].description.strip().splitlines()[0]}")
        raise typer.Exit(2)
    asked, base = load_study(study)
    outlook = look_ahead(resolve(asked, base), store or default_store(), must_exist=store is not None)
    if trials is not None:
        print(f"{write_trials(outlook, trials)} trial files in {trials}")
        if not outlook.measured_passes:
            print("No pilot has run here yet: each has a window of one pass (`passes` in the file).")
    elif as_json:
        print(json.dumps(outlook_json(outlook), indent=2))
    else:
        print(outlook_text(outlook))
