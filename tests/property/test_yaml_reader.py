import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulefleet.errors import StudyError
from joulefleet.study.load import study_of
from joulefleet.study.validate import check_study
from joulefleet.yamlfile.reader import MAX_DEPTH, YamlDocument, parse_yaml, read_yaml

# Line breaks of Unicode (Zl, Zp) and controls (Cc) mean something else within YAML's quotes than within JSON's.
PRINTABLE = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Co", "Cs", "Zl", "Zp"], exclude_characters="\ufeff"),
    max_size=20,
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | PRINTABLE
)
PLAIN = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(PRINTABLE, inner), max_leaves=MAX_DEPTH - 1
)

FRAGMENTS = st.sampled_from(
    [
        *"-?:,[]{}#&*!|>'\"%@` \n\t\r\\~=<0123456789abxe._+\x85\u2028\ufeff\0é",
        *["---", "...", "\n  ", "- ", "? ", ": ", "a: ", "'a'", '"a"', "|2", "|+", ">-"],
        *["&a ", "*a", "!a ", "!!str ", "!!python/name:os.system ", "!<", "<<: ", "%YAML 1.1\n---\n", "%TAG ! a\n"],
        *["0x", "0o", "0b", ".inf", ".nan", "1e9", "1_0", "2001-01-01", "12:30:45", "yes", "null"],
        *['"\\u', '"\\x', '"\\UFFFFFFFF"', '"\\ud800"', '"\\0"'],
    ]
)
YAML_LIKE = st.lists(FRAGMENTS, max_size=30).map("".join)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file that each example overwrites."""
    return tmp_path_factory.mktemp("yaml") / "study.yaml"


@given(
    data=st.one_of(
        st.binary(max_size=200), YAML_LIKE.map(str.encode), YAML_LIKE.map(lambda text: text.encode("utf-16"))
    )
)
def test_any_bytes_give_plain_data_or_a_study_error(file: Path, data: bytes) -> None:
    """The reader never crashes, and JSON can hold everything that it returns."""
    file.write_bytes(data)
    try:
        document = read_yaml(file)
    except StudyError:
        return
    assert json.loads(json.dumps(document.data, allow_nan=False)) == document.data
    assert all(line >= 1 for line in document.lines.values())


@given(PLAIN)
def test_plain_data_is_read_as_it_was_written(data: Any) -> None:
    """JSON is YAML: data that is written as JSON is read equal, types included."""
    text = json.dumps(data, ensure_ascii=False, indent=1)
    document = parse_yaml(text, name="study.yaml")
    assert json.dumps(document.data) == json.dumps(data)


@given(PLAIN)
def test_plain_data_that_is_no_study_is_refused(data: Any) -> None:
    """Any plain data that is no study is refused by an error of ours."""
    with pytest.raises(StudyError):
        study_of(YamlDocument(data, {}), name="study.yaml")


@given(st.sampled_from(["name", "repetitions", "models", "tasks", "pairs", "factors", "measure", "proofs"]), PLAIN)
def test_anything_in_the_place_of_a_part_gives_a_study_or_a_study_error(key: str, value: Any) -> None:
    """Any value in place of one part of a good study gives a study without mistakes or an error of ours."""
    good = {
        "name": "good",
        "repetitions": 1,
        "models": {"t": {"path": "t"}, "s": {"path": "s"}},
        "tasks": {"sst2": {"preset": "sst2"}},
        "pairs": {"p": {"teacher": "t", "student": "s"}},
        "proofs": {"a_a": [{"model": "t", "task": "sst2"}]},
    }
    try:
        study = study_of(YamlDocument({**good, key: value}, {}), name="study.yaml")
    except StudyError:
        return
    assert check_study(study) == []
