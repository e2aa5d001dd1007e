import json
from pathlib import Path

import pytest

from joulefleet.errors import StudyError
from joulefleet.plan.expand import cells
from joulefleet.study.load import (
    load_study,
    shipped_studies,
    study_from_json,
    study_json_schema,
    study_of,
    study_to_json,
)
from joulefleet.study.spec import Study
from joulefleet.yamlfile.reader import parse_yaml

SMALLEST = """\
name: small
repetitions: 1
models: {bert: {path: bert}}
tasks: {sst2: {preset: sst2}}
"""

# The expected beginnings of the messages about a line are in its comment, separated by ` | `.
FULL_OF_MISTAKES = """\
name: bad study!                                       # name: must match pattern
repetitions: -3                                        # repetitions: must be greater than or equal to 1, not -3.
regime: brst                                           # regime: must be 'sustained' or 'burst', not "brst".
modles: {}                                             # modles: unknown key; did you mean models?
models:
  teacher:                                             # models.teacher: task texts has texts
    architecture: {model_type: bert, confg: {}}        # models.teacher.architecture.confg: unknown key; did you
  student:
    path: 5                                            # models.student.path: must be a valid string, not 5.
    head: sedded                                       # models.student.head: must be 'own' or 'seeded', not "sedded".
  unpinned:
    hub: {id: a/b}                                     # models.unpinned.hub.revision: missing.
  both:                                                # models.both: give exactly one of architecture, hub and path
    path: x
    hub: {id: a/b, revision: abcdefabcdefabcdefabcdefabcdefabcdefabcd}
  "bad name!": {path: x}                               # models.bad name!: must match pattern
  list: [1, 2]                                         # models.list: must be a mapping of keys to values.
  idle: {path: x, tasks: []}                           # models.idle.tasks: must have at least 1 item
  x+again: {path: x}                                   # models.x+again: names with this ending are kept for the proofs
tasks:
  sst2: {preset: sst}                                  # tasks.sst2.preset: no preset is named 'sst'; did you mean sst2?
  own: {inputs: double, labels: 0}                     # tasks.own.inputs: must be | tasks.own.labels: must be
  texts:
    preset: stsb
    items:                                             # tasks.texts.items: a pair of texts needs text_pair
      file: {path: a.csv}
pairs:
  typo: {teacher: techer, student: list}               # pairs.typo.teacher: no model is named 'techer'; did you
  half: {teacher: teacher}                             # pairs.half.student: missing.
  none: 5                                              # pairs.none: must be a mapping of keys to values.
  judged-later: {teacher: teacher, student: student}
proofs:
  a_a:
    - {model: 5, task: sst2}                           # proofs.a_a.0.model: must be a valid string, not 5.
    - {model: teacher, task: txts}                     # proofs.a_a: no task is named 'txts'; did you mean texts?
factors:
  batch_size: [1, 1]                                   # factors.batch_size: a level is given twice.
  threads: [a, 2]                                      # factors.threads.0: must be a valid integer, not "a".
measure:
  window: {passes: 3, at_least_s: 1}                   # measure.window: give passes or at_least_s, not both.
  timeout_s: -1                                        # measure.timeout_s: must be greater than 0, not -1.
  warm_up: {at_least_s: "5"}                           # measure.warm_up.at_least_s: must be a valid number, not "5".
thresholds: 3                                          # thresholds: must be a mapping of keys to values.
labels: {a: 5}                                         # labels.a: must be a valid string, not 5.
"""


def read(text: str) -> Study:
    """Return the study in `text`."""
    return study_of(parse_yaml(text, name="study.yaml"), name="study.yaml")


def test_every_mistake_is_named_at_once_with_its_line() -> None:
    """Wrong types, misspelt and missing keys and broken rules come together, without mistakes that follow from them."""
    expected = [
        f"study.yaml:{number}: {message}"
        for number, line in enumerate(FULL_OF_MISTAKES.splitlines(), start=1)
        for message in line.partition(" # ")[2].split(" | ")
        if message
    ]
    with pytest.raises(StudyError) as caught:
        read(FULL_OF_MISTAKES)
    problems = caught.value.problems
    assert [problem[: len(start)] for problem, start in zip(problems, expected, strict=True)] == expected


@pytest.mark.parametrize(
    ("models", "rest"),
    [
        ("{bert: {path: bert}}", "regime: brst\nmeasure: {window: {at_least_s: 1}}"),
        ("{bert: {path: 5}}", ""),
        ("{bert: {path: b, head: sedded}, t: {path: t, head: seeded}}", "pairs: {p: {teacher: t, student: bert}}"),
        ("{bert: {path: b, tasks: [5]}, t: {path: t}}", "pairs: {p: {teacher: t, student: bert}}"),
        ("{bert: 5, t: {path: t}}", "pairs: {p: {teacher: t, student: bert}}"),
        ("{}", "proofs: {a_a: [{model: bert, task: sst2}]}"),
    ],
)
def test_a_mistake_hides_those_that_follow_from_it(models: str, rest: str) -> None:
    """A rule is not checked where a value that it needs is refused itself."""
    with pytest.raises(StudyError) as caught:
        read(SMALLEST.replace("{bert: {path: bert}}", models) + rest)
    assert len(caught.value.problems) == 1


def test_a_key_that_looks_like_a_note_of_pydantic_is_a_mistake_like_others() -> None:
    """The checker adds `[key]` to the location of a key that it refuses; a file may hold that text as a key."""
    with pytest.raises(StudyError, match=r"study\.yaml:5: \[key\]: unknown key"):
        read(SMALLEST + "'[key]': 5\n")


def test_the_smallest_study_takes_its_defaults() -> None:
    """Four keys make a study."""
    study = read(SMALLEST)
    assert study.regime == "sustained"
    assert [str(cell) for cell in cells(study)] == ["bert/sst2"]


@pytest.mark.parametrize("text", ["5", "[]", "null", "text"])
def test_a_file_that_is_no_mapping_is_refused(text: str) -> None:
    """A study is a mapping of keys to values."""
    with pytest.raises(StudyError, match=r"study\.yaml:1: the study: must be a mapping"):
        read(text)


@pytest.mark.parametrize(
    ("value", "what"), [('"1"', "valid integer"), ("1.5", "valid integer"), ("true", "valid integer")]
)
def test_a_value_of_another_type_is_not_converted(value: str, what: str) -> None:
    """A value that only looks like a number is a mistake that the user should see."""
    with pytest.raises(StudyError, match=f"study.yaml:2: repetitions: must be a {what}"):
        read(SMALLEST.replace("repetitions: 1", f"repetitions: {value}"))


@pytest.mark.parametrize(
    ("name", "cell_count", "repetitions", "regime"), [("cain2024", 14, 30, "sustained"), ("quick", 12, 3, "burst")]
)
def test_the_shipped_studies_are_as_documented(name: str, cell_count: int, repetitions: int, regime: str) -> None:
    """Each has no mistake, and its paths are relative to the current folder."""
    study, folder = load_study(name)
    assert (len(cells(study)), study.repetitions, study.regime) == (cell_count, repetitions, regime)
    assert folder == Path.cwd()


def test_all_shipped_studies_are_known() -> None:
    """Messages and documentation list these."""
    assert shipped_studies() == ["cain2024", "quick"]


def test_the_paths_of_a_study_are_relative_to_its_file(tmp_path: Path) -> None:
    """A study and its data can be moved together."""
    (tmp_path / "mine.yaml").write_text(SMALLEST, encoding="utf-8")
    study, folder = load_study(str(tmp_path / "mine.yaml"))
    assert (study.name, folder) == ("small", tmp_path)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    """The message lists the shipped studies."""
    with pytest.raises(
        StudyError, match=r"qick: neither a file nor a shipped study\. Did you mean quick\? Shipped: cain2024, quick\."
    ):
        load_study("qick")


def test_a_name_that_no_file_system_takes_is_an_error_of_ours() -> None:
    """The name may be longer than a file system allows."""
    with pytest.raises(StudyError):
        load_study("x" * 300)


@pytest.mark.parametrize("name", ["cain2024", "quick"])
def test_a_study_survives_json(name: str) -> None:
    """The copy in the store is equal to the study."""
    study, _ = load_study(name)
    assert study_from_json(json.loads(json.dumps(study_to_json(study)))) == study


def test_the_schema_for_editors_knows_every_key() -> None:
    """An editor completes the keys that the reader accepts."""
    schema = study_json_schema()
    assert set(schema["required"]) == {"name", "repetitions", "models", "tasks"}
    assert schema["additionalProperties"] is False
    assert schema["$defs"]["Window"]["properties"].keys() == {"passes", "at_least_s"}
