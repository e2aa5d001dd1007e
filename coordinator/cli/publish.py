"""`joulefleet publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def publish(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="Where to: s3://bucket/prefix, gs://bucket/prefix, file:///folder.")
    ],
    *,
    store: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Default: $JOULEFLEET_STORE, else ./joulefleet-store.")
    ] = None,
    no_compact: Annotated[
        bool, typer.Option("--no-compact", help="Publish what is compacted already; a study may be running.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Copy a store to where others can read it: compacted files, manifests, studies.

    What is there already is not sent again, so the same command goes on after an interruption, and
    brings a publication up to date. Any URI of pyarrow.fs will do; credentials come from where its
    service looks for them (for S3: the environment, ~/.aws). `sql`, `compare`, `status` and
    joulefleet.open read such a URI as they read a folder.

    \b
    Examples:
      joulefleet publish s3://bucket/study --store results
      joulefleet publish "s3://bucket/study?endpoint_override=minio:9000&scheme=http"
      joulefleet publish file:///mnt/share/study --no-compact
      joulefleet compare --store s3://bucket/study
    """
    import json
    import sys

    from coordinator.cli.render.json import plain
    from coordinator.cli.render.steps import StepLine
    from coordinator.store import publish as publishing
    from coordinator.store.status import coordinator_of
    from coordinator.store.writer import open_store
    from joulefleet.errors import StoreError
    from joulefleet.store import compaction
    from joulefleet.store.layout import StoreLayout, default_store, read_format
    from joulefleet.store.remote import remote

    layout = StoreLayout(store or default_store())
    read_format(layout)
    remote(uri)  # an address that cannot be is said before the work
    line = StepLine(sys.stderr)
    try:
        if not no_compact:
            if coordinator_of(layout) is not None:
                raise StoreError(
                    f"{layout.root}: a coordinator writes to this store.",
                    cure="Publish what is compacted already with --no-compact, or wait for it.",
                )
            with open_store(layout.root, study="joulefleet publish") as writer:
                compaction.compact(writer.layout, on_step=line)
        done = publishing.publish(layout, uri, on_step=line)
    finally:
        line.end()
    if done.not_compacted:
        print(
            f"{done.not_compacted} attempts are not compacted yet, so not published: `joulefleet compact`.",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps(plain(done), indent=2))
    else:
        megabytes = done.sent_bytes / 1e6
        print(f"{done.attempts} attempts at {uri}: {done.sent_files} files sent ({megabytes:.1f} MB)")
