"""`joulefleet status`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from coordinator.store.status import StoreState
    from joulefleet.store.layout import StoreLayout

_LOOK_EVERY_S = 2.0


def status(
    *,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="PATH|URI", help="A folder, or a published store. Default: $JOULEFLEET_STORE, ./joulefleet-store."
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Go on until no trial is missing; a new state whenever a trial ends.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON; with --watch one line a state.")] = False,
) -> None:
    """Say how far each study is, and what failed.

    \b
    Examples:
      joulefleet status
      joulefleet status --store results --watch
      joulefleet status --store s3://bucket/study
      joulefleet status --json | jq '.studies[] | {study, ok, planned}'
    """
    import json
    import os
    import sys

    from coordinator.cli.render.json import plain
    from coordinator.cli.render.status import state_lines
    from coordinator.store.status import published_state, store_state
    from joulefleet.store.layout import DEFAULT_STORE, STORE_VARIABLE, StoreLayout
    from joulefleet.store.remote import is_uri

    asked = store or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE
    if is_uri(asked):
        if watch:
            raise typer.BadParameter("a published store is not watched: leave --watch out")
        states = iter([published_state(asked)])
    else:
        layout = StoreLayout(Path(asked).absolute())
        states = _states(layout) if watch else iter([store_state(layout)])
    if as_json:
        for state in states:
            print(json.dumps(plain(state), indent=None if watch else 2, ensure_ascii=False), flush=True)
    elif watch and sys.stdout.isatty():
        _redraw(states)
    else:
        for number, state in enumerate(states):
            print(*([""] if number else []), *state_lines(state), sep="\n", flush=True)


def _states(layout: StoreLayout) -> Iterator[StoreState]:
    """The present state, then one whenever it has changed, until no trial is missing."""
    import time

    from coordinator.store.status import coordinator_of, newest_change_ns, store_state

    seen: object = None
    while True:
        # On the machine that is measured every look disturbs: the store is read only when it has changed.
        now = (newest_change_ns(layout), coordinator_of(layout))
        if now != seen:
            seen = now
            state = store_state(layout)
            yield state
            if state.finished and state.studies:
                return
        time.sleep(_LOOK_EVERY_S)


def _redraw(states: Iterator[StoreState]) -> None:
    from rich.live import Live
    from rich.text import Text

    from coordinator.cli.render.status import state_lines

    with Live(auto_refresh=False) as live:
        for state in states:
            live.update(Text("\n".join(state_lines(state))), refresh=True)
