"""The views of a store."""

from __future__ import annotations

from joulefleet.query.shipped_sql import sql_names
from joulefleet.query.views import VIEWS


def test_there_is_a_file_for_each_view() -> None:
    """Two more files are used inside of them, and for progress."""
    assert set(sql_names("views")) == {*VIEWS, "accepted", "progress"}
