"""`joulefleet import`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from coordinator.importing.mapping.spec import CommonMapping
    from coordinator.importing.model import Package
    from coordinator.importing.tables.csv import CsvReader

import_data = typer.Typer(
    no_args_is_help=True,
    help="""Bring what another tool measured into a store.

Joules of other tools stand in energy_reported_j alone: it is not known whether they were measured
or modelled. The trials have no blocks, and are compared unpaired. All of the data is judged before
anything is written; every mistake is said at once, and importing the same again adds nothing.

\b
Examples:
  joulefleet import experiment-runner data --mapping mapping.yaml --store results
  joulefleet import codecarbon emissions.csv --mapping mapping.yaml --study laptop
  joulefleet import experiment-runner --schema > mapping.schema.json

\b
docs/how-to-import.md explains the mapping.""",
)

_Mapping = Annotated[Path | None, typer.Option(metavar="FILE", help="What columns and folders mean, in YAML.")]
_Study = Annotated[
    str | None, typer.Option(metavar="NAME", help="The study's name in the store. Default: the mapping's `name`.")
]
_Store = Annotated[
    Path | None,
    typer.Option(metavar="PATH", help="Made where there is none. Default: $JOULEFLEET_STORE, else ./joulefleet-store."),
]
_Schema = Annotated[bool, typer.Option("--schema", help="Print the JSON schema of a mapping, for editors.")]
_Json = Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")]


@import_data.command("experiment-runner")
def experiment_runner(
    folder: Annotated[
        Path | None, typer.Argument(metavar="FOLDER", help="The folder of an experiment, or one around several.")
    ] = None,
    *,
    mapping: _Mapping = None,
    study: _Study = None,
    store: _Store = None,
    schema: _Schema = False,
    as_json: _Json = False,
) -> None:
    """Import the output of Experiment Runner: each run_table.csv in FOLDER or below, with the traces of PowerJoular.

    A run whose energy counter wrapped is rebuilt from its traces and flagged energy_repaired; where
    that cannot be done its energy is null, with the reason. Rows that are TODO are no results.

    \b
    Examples:
      joulefleet import experiment-runner data --mapping mapping.yaml
      joulefleet import experiment-runner data --mapping mapping.yaml --study published --store results
      joulefleet import experiment-runner --schema > mapping.schema.json
    """
    from coordinator.importing.mapping.load import load_mapping
    from coordinator.importing.mapping.spec import ExperimentRunnerMapping
    from coordinator.importing.tools.experiment_runner import read_package

    if schema:
        _print_schema(ExperimentRunnerMapping)
        return
    source, file = _both(folder, "FOLDER", mapping)
    asked, given = load_mapping(file, ExperimentRunnerMapping)
    name = _study_name(study, asked, file)
    package = read_package(source, asked, mapping_name=str(file), reader=_reader())
    _import(package, asked, given, file=file, study=name, store=store, as_json=as_json)


@import_data.command("codecarbon")
def codecarbon(
    path: Annotated[
        Path | None,
        typer.Argument(metavar="FILE|FOLDER", help="An emissions.csv, or a folder with some in it or below."),
    ] = None,
    *,
    mapping: _Mapping = None,
    study: _Study = None,
    store: _Store = None,
    schema: _Schema = False,
    as_json: _Json = False,
) -> None:
    """Import the output of CodeCarbon, version 2 or 3: each row of an emissions.csv is a run.

    \b
    Examples:
      joulefleet import codecarbon emissions.csv --mapping mapping.yaml
      joulefleet import codecarbon runs --mapping mapping.yaml --study laptop --store results
      joulefleet import codecarbon --schema > mapping.schema.json
    """
    from coordinator.importing.mapping.load import load_mapping
    from coordinator.importing.mapping.spec import CodecarbonMapping
    from coordinator.importing.tools.codecarbon import read_package

    if schema:
        _print_schema(CodecarbonMapping)
        return
    source, file = _both(path, "FILE|FOLDER", mapping)
    asked, given = load_mapping(file, CodecarbonMapping)
    name = _study_name(study, asked, file)
    package = read_package(source, asked, mapping_name=str(file), reader=_reader())
    _import(package, asked, given, file=file, study=name, store=store, as_json=as_json)


def _print_schema(kind: type[CommonMapping]) -> None:
    import json

    from coordinator.importing.mapping.load import mapping_json_schema

    print(json.dumps(mapping_json_schema(kind), indent=2))


def _both(source: Path | None, what: str, mapping: Path | None) -> tuple[Path, Path]:
    if source is None:
        raise typer.BadParameter("name what to import.", param_hint=what)
    if mapping is None:
        raise typer.BadParameter("name the file that says what the columns mean.", param_hint="--mapping")
    return source, mapping


def _reader() -> CsvReader:
    from coordinator.importing.problems import Complaints
    from coordinator.importing.tables.csv import CsvReader

    return CsvReader(Complaints())


def _study_name(asked: str | None, mapping: CommonMapping, file: Path) -> str:
    from coordinator.importing.mapping.load import check_study_name

    return check_study_name(asked or mapping.name, file)


def _import(
    package: Package,
    mapping: CommonMapping,
    given: Mapping[str, Any],
    *,
    file: Path,
    study: str,
    store: Path | None,
    as_json: bool,
) -> None:
    import json
    import sys

    from coordinator.importing.commit import place
    from coordinator.importing.record import check_pairs, import_record
    from coordinator.store.writer import open_store
    from coordinator.text import printable
    from joulefleet.store.layout import default_store

    check_pairs(mapping, package, str(file))
    root = store or default_store()
    with open_store(root, study="joulefleet import") as writer:
        added = place(writer, package, import_record(study, package, mapping, given))
    for note in package.notes:
        print(printable(note), file=sys.stderr)
    runs = len(package.runs)
    if as_json:
        planned = len(package.planned)
        done = {"study": study, "runs": runs, "added": added, "planned": planned, "notes": list(package.notes)}
        print(json.dumps(done | {"store": str(root)}, indent=2, ensure_ascii=False))
        return
    left = len(package.planned) - runs
    never = f" ({left} more were planned and never done)" if left else ""
    if added:
        print(f"{added} runs of {package.folders} folders imported into {root} as study {study}{never}.")
    else:
        print(f"Nothing to add: {root} has these {runs} runs as study {study} already{never}.")
