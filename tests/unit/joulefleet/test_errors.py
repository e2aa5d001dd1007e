import pickle

import pytest

import joulefleet.errors
from joulefleet.errors import (
    EXIT_BUG,
    EXIT_FAILED_TRIALS,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
    JoulefleetError,
    MachineError,
    QueryError,
    StoreError,
    StudyError,
)

KINDS: list[type[JoulefleetError]] = [StudyError, StoreError, MachineError, QueryError]


def test_one_problem_is_one_line_that_ends_in_the_cure() -> None:
    """A user reads in one line what is wrong and what to do."""
    assert str(StoreError("s: there is no store.", cure="Name one.")) == "s: there is no store. Name one."


def test_several_problems_are_one_line_each() -> None:
    """The mistakes are listed, and the cure follows them."""
    error = StudyError(["a:1: wrong.", "a:2: wrong too."], cure="Fix them.")
    assert str(error).splitlines() == ["2 mistakes:", "  a:1: wrong.", "  a:2: wrong too.", "Fix them."]


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_can_cross_a_process(kind: type[JoulefleetError]) -> None:
    """An error raised in a Ray worker arrives with its kind, problems and cure."""
    there_and_back = pickle.loads(pickle.dumps(kind(["one", "two"], cure="Fix.")))  # noqa: S301 - our own bytes
    assert type(there_and_back) is kind
    assert (there_and_back.problems, there_and_back.cure) == (("one", "two"), "Fix.")


def test_every_kind_of_error_has_an_exit_code_of_its_own() -> None:
    """A script can tell them apart, and none looks like success."""
    codes = [EXIT_BUG, EXIT_USAGE, EXIT_FAILED_TRIALS, EXIT_INTERRUPTED, *(kind.exit_code for kind in KINDS)]
    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_the_tree_in_the_docstring_has_every_error_with_its_exit_code() -> None:
    """The tree in the module's docstring is complete."""
    drawn = (joulefleet.errors.__doc__ or "").splitlines()
    for kind in JoulefleetError.__subclasses__():
        assert any(f" {kind.__name__} " in line and f" {kind.exit_code} " in line for line in drawn)
