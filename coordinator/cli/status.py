"""`joulefleet status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.options import AsJson, StoreToRead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.store.status import StoreState
    from joulefleet.store.layout import StoreLayout

_POLL_S = 2.0
"""Time between two looks at a store that is watched, seconds."""


def status(
    *,
    store: StoreToRead = None,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Show the state again whenever a trial ends, until no trial is missing."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the progress of each study, and which trials failed.

    With --watch and --json, each state is one line.

    \b
    Examples:
      joulefleet status
      joulefleet status --store results --watch
      joulefleet status --store s3://bucket/study
      joulefleet status --json | jq '.studies[] | {study, ok, planned}'
    """
    import os
    import sys

    from coordinator.cli.render.json import json_text
    from coordinator.cli.render.status import state_lines
    from coordinator.store.status import published_state, store_state
    from joulefleet.store.layout import DEFAULT_STORE, STORE_VARIABLE, StoreLayout
    from joulefleet.store.remote import is_uri

    location = store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE  # no Path, which would shorten s3://
    if is_uri(location):
        if watch:
            raise typer.BadParameter("a published store cannot be watched: leave --watch out.")
        states = iter([published_state(location)])
    else:
        layout = StoreLayout(Path(location).absolute())
        states = _watch(layout) if watch else iter([store_state(layout)])
    if watch and not as_json and sys.stdout.isatty():
        _redraw(states)
        return
    for number, state in enumerate(states):
        if as_json:
            print(json_text(state, indent=None if watch else 2), flush=True)
        else:
            print(*([""] if number else []), *state_lines(state), sep="\n", flush=True)


def _watch(layout: StoreLayout) -> Iterator[StoreState]:
    """Yield the present state, then a new one after each change, until no trial is missing."""
    import time

    from coordinator.store.lock_holder import coordinator_of
    from coordinator.store.status import newest_change_ns, store_state

    seen: object = None
    while True:
        # The store may be on the machine that measures, where each read disturbs: read it only after a change.
        now = (newest_change_ns(layout), coordinator_of(layout))
        if now != seen:
            seen = now
            state = store_state(layout)
            yield state
            if state.finished and state.studies:
                return
        time.sleep(_POLL_S)


def _redraw(states: Iterator[StoreState]) -> None:
    """Show `states` on a terminal, each in the place of the one before."""
    from rich.live import Live
    from rich.text import Text

    from coordinator.cli.render.status import state_lines

    with Live(auto_refresh=False) as live:
        for state in states:
            live.update(Text("\n".join(state_lines(state))), refresh=True)
