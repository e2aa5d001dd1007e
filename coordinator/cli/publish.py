"""`joulefleet publish`."""

from __future__ import annotations

from typing import Annotated

import typer

from coordinator.cli.options import AsJson, StoreFolder


def publish(
    uri: Annotated[
        str,
        typer.Argument(metavar="URI", help="The destination: s3://bucket/prefix, gs://bucket/prefix, file:///folder."),
    ],
    *,
    store: StoreFolder = None,
    no_compact: Annotated[
        bool,
        typer.Option(
            "--no-compact", help="Publish only what is compacted already. This also works while a study is running."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Copy a store to a place where others can read it: compacted files, manifests and studies.

    Files that are there already are not sent again. So the same command continues after an interruption,
    and updates an earlier publication. Any URI that pyarrow.fs knows will do; its service finds the
    credentials where it usually does (for S3: the environment, ~/.aws). `sql`, `compare`, `status` and
    joulefleet.open read such a URI like a folder.

    \b
    Examples:
      joulefleet publish s3://bucket/study --store results
      joulefleet publish "s3://bucket/study?endpoint_override=minio:9000&scheme=http"
      joulefleet publish file:///mnt/share/study --no-compact
      joulefleet compare --store s3://bucket/study
    """
    import sys

    from coordinator.cli.render.json import json_text
    from coordinator.cli.render.steps import StepLine
    from coordinator.store import publish as publishing
    from coordinator.store.lock_holder import coordinator_of
    from coordinator.store.writer import open_store
    from joulefleet.errors import StoreError
    from joulefleet.store import compaction
    from joulefleet.store.layout import StoreLayout, default_store, read_format
    from joulefleet.store.remote import remote

    layout = StoreLayout(store or default_store())
    read_format(layout)
    remote(uri)  # refuse an impossible URI before the work begins
    if not no_compact and coordinator_of(layout) is not None:
        raise StoreError(
            f"{layout.root}: a coordinator writes to this store.",
            cure="Publish what is compacted already with --no-compact, or wait until the coordinator has ended.",
        )
    with StepLine(sys.stderr) as on_step:
        if not no_compact:
            with open_store(layout.root, study="joulefleet publish") as writer:
                compaction.compact(writer.layout, on_step=on_step)
        result = publishing.publish(layout, uri, on_step=on_step)
    if result.not_compacted:
        print(
            f"{result.not_compacted} attempts are not compacted yet, so not published: run `joulefleet compact`.",
            file=sys.stderr,
        )
    if as_json:
        print(json_text(result))
    else:
        megabytes = result.sent_bytes / 1e6
        print(f"{result.attempts} attempts at {uri}: {result.sent_files} files sent ({megabytes:.1f} MB)")
