"""`joulefleet import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import AsJson, StoreToWrite

if TYPE_CHECKING:
    from coordinator.importing.mapping.load import AnyMapping
    from coordinator.importing.tools.base import PackageReader

import_data = typer.Typer(
    no_args_is_help=True,
    help="""Import the measurements of another tool into a store.

The energy that another tool reports is written to the column energy_reported_j only, because it is
unknown whether it was measured or modelled. Imported trials have no blocks, so `compare` compares them
unpaired. All data is checked before anything is written, and all mistakes are reported together.
Importing the same data again adds nothing.

\b
Examples:
  joulefleet import experiment-runner data --mapping mapping.yaml --store results
  joulefleet import codecarbon emissions.csv --mapping mapping.yaml --study laptop
  joulefleet import experiment-runner --schema > mapping.schema.json

\b
docs/how-to-import.md explains the mapping.""",
)

_MappingFile = Annotated[
    Path | None,
    typer.Option("--mapping", metavar="FILE", help="YAML file that states the meaning of columns and folders."),
]
_NewStudyName = Annotated[
    str | None,
    typer.Option("--study", metavar="NAME", help="Name of the study in the store. Default: `name` of the mapping."),
]
_Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a mapping, for editors.")]


@import_data.command("experiment-runner")
def experiment_runner(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="FOLDER", help="The folder of an experiment, or one that contains several."),
    ] = None,
    *,
    mapping: _MappingFile = None,
    study: _NewStudyName = None,
    store: StoreToWrite = None,
    schema: _Schema = False,
    as_json: AsJson = False,
) -> None:
    """Import the output of Experiment Runner: each run_table.csv in FOLDER or below, and the traces of PowerJoular.

    If the energy counter wrapped during a run, its energy is computed again from the traces, and the trial
    gets the flag energy_repaired. Where that is impossible the energy is null, with the reason. Rows that
    are TODO are not imported.

    \b
    Examples:
      joulefleet import experiment-runner data --mapping mapping.yaml
      joulefleet import experiment-runner data --mapping mapping.yaml --study published --store results
      joulefleet import experiment-runner --schema > mapping.schema.json
    """
    from coordinator.importing.mapping.spec import ExperimentRunnerMapping
    from coordinator.importing.tools.experiment_runner import RunTableReader

    if schema:
        _print_schema(ExperimentRunnerMapping)
    elif folder is None:
        raise typer.BadParameter("name the folder to import.", param_hint="FOLDER")
    else:
        _import(
            RunTableReader, ExperimentRunnerMapping, folder, file=mapping, study=study, store=store, as_json=as_json
        )


@import_data.command("codecarbon")
def codecarbon(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE|FOLDER", help="An emissions.csv, or a folder with such files in it or below."),
    ] = None,
    *,
    mapping: _MappingFile = None,
    study: _NewStudyName = None,
    store: StoreToWrite = None,
    schema: _Schema = False,
    as_json: AsJson = False,
) -> None:
    """Import the output of CodeCarbon, version 2 or 3: each row of an emissions.csv is a run.

    \b
    Examples:
      joulefleet import codecarbon emissions.csv --mapping mapping.yaml
      joulefleet import codecarbon runs --mapping mapping.yaml --study laptop --store results
      joulefleet import codecarbon --schema > mapping.schema.json
    """
    from coordinator.importing.mapping.spec import CodecarbonMapping
    from coordinator.importing.tools.codecarbon import EmissionsReader

    if schema:
        _print_schema(CodecarbonMapping)
    elif path is None:
        raise typer.BadParameter("name the file or folder to import.", param_hint="FILE|FOLDER")
    else:
        _import(EmissionsReader, CodecarbonMapping, path, file=mapping, study=study, store=store, as_json=as_json)


def _print_schema(kind: type[AnyMapping]) -> None:
    from coordinator.cli.render.json import json_text
    from coordinator.importing.mapping.load import mapping_json_schema

    print(json_text(mapping_json_schema(kind)))


def _import(
    reader: type[PackageReader[AnyMapping]],
    kind: type[AnyMapping],
    source: Path,
    *,
    file: Path | None,
    study: str | None,
    store: Path | None,
    as_json: bool,
) -> None:
    """Import `source` with `reader`, by the mapping of type `kind` in `file`; print what was imported."""
    import sys

    from coordinator.cli.render.json import json_text
    from coordinator.importing.commit import import_package
    from coordinator.importing.mapping.load import check_study_name, load_mapping
    from coordinator.text import printable
    from joulefleet.store.layout import default_store

    if file is None:
        raise typer.BadParameter("name the YAML file that states the meaning of the columns.", param_hint="--mapping")
    mapping, given = load_mapping(file, kind)
    name, root = check_study_name(study or mapping.name, file), store or default_store()
    package = reader(source, mapping, mapping_name=str(file)).read()
    added = import_package(root, name, package, mapping, given, mapping_name=str(file))
    for note in package.notes:
        print(printable(note), file=sys.stderr)
    runs, planned = len(package.runs), len(package.planned)
    if as_json:
        counts = {"study": name, "runs": runs, "added": added, "planned": planned}
        print(json_text(counts | {"notes": list(package.notes), "store": str(root)}))
        return
    unfinished = f" ({planned - runs} more were planned and never done)" if planned > runs else ""
    if added:
        print(f"{added} runs of {package.folders} folders imported into {root} as study {name}{unfinished}.")
    else:
        print(f"Nothing to add: {root} already has these {runs} runs as study {name}{unfinished}.")
