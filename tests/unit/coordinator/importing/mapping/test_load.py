"""Mappings and their mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coordinator.importing.mapping.load import check_study_name, load_mapping, mapping_json_schema, mapping_of
from coordinator.importing.mapping.spec import CodecarbonMapping, ExperimentRunnerMapping
from joulefleet.errors import StudyError
from joulefleet.yamlfile.reader import parse_yaml
from tests.support.replication_package import MAPPING

# The comment of each line holds the mistakes expected there, separated by ` | `.
WRONG_KEYS = """\
name: bad name!                                        # name: must match pattern
machine: server                                        # machine: must be a mapping of keys to values.
machines:
  server: {logical_cpus: 0}                            # machines.server.logical_cpus: must be greater
metrics:
  energy_reported_j: {colum: a}                        # colum: unknown key; did you mean column? | column: missing.
  cpu_percent: {column: b, unit: cores}                # metrics.cpu_percent.unit: must be 'percent of one core',
  window_s: {column: c, scale: -1}                     # metrics.window_s.scale: must be greater than 0
folders: [{match: 5}]                                  # folders.0.match: must be a valid string, not 5.
pairs: {a: {teacher: x}}                               # pairs.a.student: missing.
traces: {energy_of: gpu}                               # traces.energy_of: must be 'process' or 'machine', not "gpu".
"""

WRONG_MEANING = """\
machines:                                              # reported_by: missing
  server: {cpu_model: X}                               # give its logical_cpus | give its memory_bytes
model: {value: bert, column: b}                        # model: give exactly one of value and column.
task: {value: sst2, values: {a: b}}                    # task.values: needs a column, and there is none
machine: {value: serber}                               # machine: no machine is named 'serber'; did you mean server?
time_zone: Europe/Atlantis                             # time_zone: this machine knows no zone
metrics:
  energy_reported_j: {column: a}
  cpu_percent: {column: b, unit: fraction of all cores}
  peak_rss_bytes: {column: c, unit: percent of memory}
  items: {column: i}                                   # metrics.items: is a column, and items states the number too
items: 5
labels: {run: r, own: o}                               # labels.run: every imported trial has a label of this name
folders:
  - {match: "a/*"}                                     # folders.0: has no facts about the runs
  - {match: "../b", model: x}                          # folders.1.match: must be a path below
  - {match: c, model: x, leave_out: true}              # folders.2: has leave_out and also facts
  - {match: d, machine: nowhere}                       # folders.3.machine: no machine is named 'nowhere'
  - {match: d, labels: {own: z}}                       # is there twice. | folders.4.labels.own: is also the label
pairs: {self: {teacher: x, student: x}}                # pairs.self: teacher and student are the same.
"""


@pytest.mark.parametrize("text", [WRONG_KEYS, WRONG_MEANING])
def test_every_mistake_is_named_at_once_with_its_line(text: str) -> None:
    """The comments state what is expected of each line; no other line may have a mistake."""
    with pytest.raises(StudyError) as caught:
        mapping_of(parse_yaml(text, name="m"), ExperimentRunnerMapping, name="m")
    left = list(caught.value.problems)
    for number, line in enumerate(text.splitlines(), start=1):
        for expected in line.partition(" # ")[2].split(" | ") if " # " in line else ():
            matching = [text for text in left if text.startswith(f"m:{number}: ") and expected.strip() in text]
            assert matching, (number, expected, left)
            left.remove(matching[0])
    assert not left


def test_a_mapping_without_anything_to_compare_is_a_mistake() -> None:
    """It names neither energy nor time."""
    with pytest.raises(StudyError, match="nothing to compare"):
        mapping_of(parse_yaml("machines: {a: {}}\nmetrics: {}", name="m"), ExperimentRunnerMapping, name="m")


def test_codecarbon_identifies_machines_by_their_cpus() -> None:
    """A machine without a CPU model is a mistake, and so is a column for the energy, which CodeCarbon has itself."""
    text = "machines: {a: {}}"
    with pytest.raises(StudyError, match=r"machines\.a: give its cpu_model"):
        mapping_of(parse_yaml(text, name="m"), CodecarbonMapping, name="m")
    text = "metrics: {energy_reported_j: {column: x}}"
    with pytest.raises(StudyError, match="energy_reported_j: unknown key"):
        mapping_of(parse_yaml(text, name="m"), CodecarbonMapping, name="m")


def test_a_file_that_is_no_mapping_is_named(tmp_path: Path) -> None:
    """The cure refers to the guide of mappings, not of studies."""
    with pytest.raises(StudyError, match=r"cannot be read.*how-to-import"):
        load_mapping(tmp_path / "none.yaml", ExperimentRunnerMapping)
    (tmp_path / "m.yaml").write_text("- 1\n")
    with pytest.raises(StudyError, match="must be a mapping of keys"):
        load_mapping(tmp_path / "m.yaml", ExperimentRunnerMapping)


def test_the_mapping_is_kept_as_it_was_given(tmp_path: Path) -> None:
    """It becomes part of the study's record."""
    (tmp_path / "m.yaml").write_text(MAPPING)
    mapping, given = load_mapping(tmp_path / "m.yaml", ExperimentRunnerMapping)
    assert mapping.name == given["name"] == "published"
    assert given["metrics"]["cpu_percent"] == {"column": "avg_cpu", "unit": "fraction of all cores"}


@pytest.mark.parametrize("name", ["", "a b", "a/b", "../x", "x" * 64, 'a"b', "a\nb"])
def test_a_name_that_no_study_may_have_is_refused(name: str) -> None:
    """The name becomes the name of a file."""
    with pytest.raises(StudyError, match="no valid name of a study"):
        check_study_name(name, Path("m.yaml"))


def test_the_guide_explains_every_key_of_the_schema() -> None:
    """docs/how-to-import.md must explain every key of the schema."""
    guide = (Path(__file__).resolve().parents[5] / "docs" / "how-to-import.md").read_text(encoding="utf-8")
    for kind in (ExperimentRunnerMapping, CodecarbonMapping):
        schema = mapping_json_schema(kind)
        keys = set(schema["properties"]).union(*(each.get("properties", {}) for each in schema["$defs"].values()))
        words = set(re.findall(r"[a-z_]+", guide))
        assert keys <= words, keys - words
