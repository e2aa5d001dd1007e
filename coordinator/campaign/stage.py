"""One stage of a run: a campaign that keeps the live file and compacts the store between blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.host.machine import boot_id
from coordinator.campaign.campaign import Campaign, CampaignResult
from coordinator.cluster.interface import Cluster
from coordinator.events.events import Event
from coordinator.events.live_file import LiveFile
from coordinator.store.writer import StoreWriter
from joulefleet.errors import StoreError, SupersededError
from joulefleet.plan.expand import Pinned
from joulefleet.store.compaction import compact

COMPACT_AT_LEAST = 500
"""Fewest loose files that are compacted between blocks; a scan of so many takes a third of a second."""


def run_stage(
    cluster: Cluster,
    writer: StoreWriter,
    pinned: Pinned,
    *,
    on_event: Callable[[Event], None],
    note: Callable[[str], None],
    should_stop: Callable[[], bool],
    retry: frozenset[str],
    is_fleet: bool,
) -> CampaignResult:
    """Run what the store lacks of `pinned` on `cluster`, and return how that ended.

    With `is_fleet`, machines of earlier runs that have trials left are waited for. `note` receives lines for
    the user, the other callbacks are those of `Campaign`. Raises what `Campaign.run` raises.
    """

    def compact_rows() -> None:
        try:
            compact(writer.layout, at_least=COMPACT_AT_LEAST)
        except StoreError as error:
            note(f"{error} The study goes on.")

    def handle(event: Event) -> None:
        on_event(event)
        live(event)

    known = {}
    if is_fleet and pinned.study.placement == "every-machine":
        last = writer.last_record(pinned.study.name)
        known = dict(last.machines) if last is not None else {}
    live = LiveFile(writer.layout)
    try:
        campaign = Campaign(
            cluster,
            writer,
            pinned,
            on_event=handle,
            should_stop=should_stop,
            between_blocks=compact_rows,
            boot_id=boot_id(Path("/proc")),
            retry=retry,
            known=known,
        )
        return campaign.run()
    except SupersededError as error:
        raise writer.superseded_error(error.highest) or error from error
    finally:
        live.close()
