"""`joulefleet plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coordinator.cli.options import AsJson, StoreFolder


def plan(
    study: Annotated[
        str | None, typer.Argument(metavar="STUDY", help="A study file, or the name of a shipped study.")
    ] = None,
    *,
    store: StoreFolder = None,
    trials: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write each trial into FOLDER as a file for `python -m agent`."),
    ] = None,
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema of a study file, for editors.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what STUDY would run on this machine: cells, blocks, order and expected duration. Nothing is run.

    If the store exists, trials that it already holds are counted as done.

    \b
    Examples:
      joulefleet plan quick
      joulefleet plan my-study.yaml --store results
      joulefleet plan --schema > study.schema.json
      joulefleet plan quick --trials trials
    """
    from coordinator.cli.render.json import json_text
    from coordinator.cli.render.plan import outlook_json, outlook_text
    from coordinator.planning.preview import look_ahead, write_trials
    from coordinator.planning.resolve import resolve
    from joulefleet.store.layout import default_store
    from joulefleet.study.load import load_study, shipped_studies, study_json_schema

    if schema:
        print(json_text(study_json_schema()))
        return
    if study is None:
        print("Name a STUDY: a file, or one of the shipped studies:")
        for name in shipped_studies():
            print(f"  {name:12} {load_study(name)[0].description.strip().splitlines()[0]}")
        raise typer.Exit(2)
    outlook = look_ahead(resolve(*load_study(study)), store or default_store(), must_exist=store is not None)
    if trials is not None:
        print(f"{write_trials(outlook, trials)} trial files in {trials}")
        if not outlook.measured_passes:
            print("No pilot has run here yet: each trial has a window of one pass (`passes` in its file).")
    else:
        print(json_text(outlook_json(outlook)) if as_json else outlook_text(outlook))
