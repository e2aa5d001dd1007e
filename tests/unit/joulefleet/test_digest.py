import pytest

from joulefleet.digest import digest


def test_digests_are_the_same_in_every_release() -> None:
    """Ids in stores of any age stay comparable: this one must never change."""
    assert digest(["trial", {"model": "bert", "passes": 3, "x": 0.5, "é": None}]) == "640fdb7405a3ff402ab4"


def test_the_order_of_keys_does_not_matter() -> None:
    """Equal data have equal digests, in whatever order they were put together."""
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})


@pytest.mark.parametrize("other", [{"a": 2}, {"a": "1"}, {"a": 1.5}, {"a": None}, {"a": [1]}, {"b": 1}, ["a", 1], {}])
def test_other_data_have_another_digest(other: object) -> None:
    """A value, a type, a key or a shape that differs makes another digest."""
    assert digest(other) != digest({"a": 1})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_carry_has_no_digest(value: float) -> None:
    """NaN is not equal to itself, so data that hold it have no identity."""
    with pytest.raises(ValueError, match="JSON compliant"):
        digest({"a": value})
