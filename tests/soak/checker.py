"""Check the laws on a soak's folder, in SQL on the files alone. It shares no code with the product."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

LAWS = Path(__file__).parent / "laws"
SHOWN = 10

_ATTEMPT = {
    "study": "VARCHAR",
    "trial_id": "VARCHAR",
    "attempt_id": "VARCHAR",
    "kind": "VARCHAR",
    "attempt": "BIGINT",
    "round": "BIGINT",
    "place": "VARCHAR",
    "machine": "VARCHAR",
    "machine_id": "VARCHAR",
    "model": "VARCHAR",
    "task": "VARCHAR",
    "block": "BIGINT",
    "comparison_group": "VARCHAR",
    "comparison_group_size": "BIGINT",
    "status": "VARCHAR",
    "reason": "VARCHAR",
    "started_at": "TIMESTAMPTZ",
    "wall_s": "DOUBLE",
}

_ACCEPTED = """
CREATE TABLE accepted AS
WITH rounds AS (
    SELECT study, place, block, comparison_group, "round", machine_id,
        count(DISTINCT trial_id) >= any_value(comparison_group_size) AS whole
    FROM rows WHERE kind = 'trial' GROUP BY ALL
)
SELECT rows.* FROM rows JOIN rounds USING (study, place, block, comparison_group, "round", machine_id)
WHERE kind = 'trial'
QUALIFY row_number() OVER (
    PARTITION BY trial_id ORDER BY whole DESC, "round" DESC, status <> 'ok', attempt, attempt_id
) = 1
"""

_STARTS = """
CREATE TABLE starts AS
SELECT
    coalesce(nullif(regexp_extract(file, 'machines/([^/]+)/state/', 1), ''),
             regexp_extract(file, 'intruders/([^/]+)-[0-9]+/', 1)) AS machine,
    file, line,
    CAST(text ->> 'at' AS DOUBLE) AS "at", text ->> 'attempt_id' AS attempt_id, text ->> 'store_id' AS store_id,
    text ->> 'kind' AS kind, CAST(text ->> 'epoch' AS BIGINT) AS epoch
FROM (
    SELECT filename AS file, unnest(string_split(content, chr(10))) AS text,
        generate_subscripts(string_split(content, chr(10)), 1) AS line
    FROM read_text(?)
)
WHERE json_valid(text) AND text LIKE '{%'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A law that does not hold."""

    law: str
    count: int
    rows: list[dict[str, Any]]
    """The first of them."""


def check(folder: Path, *, only: Sequence[str] = ()) -> list[Broken]:
    """Return the laws (of `only`, or all) that do not hold for the files that a soak has left in `folder`."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _load(connection, folder)
        broken = []
        for law in sorted(LAWS.glob("*.sql")):
            if only and law.stem not in only:
                continue
            asked = connection.execute(law.read_text(encoding="utf-8"))
            names = [column[0] for column in asked.description or []]
            rows = [dict(zip(names, row, strict=True)) for row in asked.fetchall()]
            if rows:
                broken.append(Broken(law=law.stem, count=len(rows), rows=rows[:SHOWN]))
        return broken


def finished(folder: Path) -> int:
    """Count the trials of the plan that have an accepted attempt with status ok."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        _load(connection, folder)
        (count,) = connection.execute("SELECT count(*) FROM accepted WHERE status = 'ok'").fetchone() or (0,)
        return int(count)


def _load(connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
    store = folder / "store"
    connection.execute("CREATE TABLE unreadable (file VARCHAR, why VARCHAR)")
    _json(connection, "plan", folder / "plan.json", study="VARCHAR", repetitions="BIGINT", machine="VARCHAR",
          model="VARCHAR", task="VARCHAR")  # fmt: skip
    _json(connection, "durable", folder / "seen" / "durable.jsonl", at="DOUBLE", machine="VARCHAR",
          store_id="VARCHAR", attempt_id="VARCHAR")  # fmt: skip
    _json(connection, "events", folder / "soak.jsonl", at="DOUBLE", what="VARCHAR", machine="VARCHAR",
          attempt_id="VARCHAR", number="BIGINT", code="BIGINT", killed="BOOLEAN", traceback="BOOLEAN",
          superseded="BOOLEAN", study="VARCHAR", why="VARCHAR", said="VARCHAR")  # fmt: skip
    connection.execute("CREATE VIEW let_go AS FROM events WHERE what = 'let_go'")
    _attempts(connection, "loose", sorted((store / "attempts").glob("*.parquet")), whole=True)
    _attempts(connection, "compacted", _counted(connection, store), whole=True)
    _attempts(connection, "seen", sorted((folder / "seen").glob("*.parquet")), whole=True)
    _attempts(connection, "waiting", sorted((folder / "machines").glob("*/state/outbox/*/*.parquet")))
    _attempts(connection, "others", sorted((folder / "intruders").glob("*/store/attempts/*.parquet")))
    connection.execute(
        "CREATE TABLE rows AS FROM loose ANTI JOIN compacted USING (attempt_id) UNION ALL FROM compacted"
    )
    connection.execute(_ACCEPTED)
    journals = [
        *(folder / "machines").glob("*/state/starts.jsonl"),
        *(folder / "intruders").glob("*/state/starts.jsonl"),
    ]
    if journals:
        connection.execute(_STARTS, [[str(path) for path in journals]])
    else:
        connection.execute(
            'CREATE TABLE starts (machine VARCHAR, file VARCHAR, line BIGINT, "at" DOUBLE, attempt_id VARCHAR, '
            "store_id VARCHAR, kind VARCHAR, epoch BIGINT)"
        )


def _counted(connection: duckdb.DuckDBPyConnection, store: Path) -> list[Path]:
    """List the compacted files that have a manifest and that no other file replaces."""
    manifests = []
    for path in sorted((store / "manifest").glob("*.json")):
        try:
            manifests.append(json.loads(path.read_bytes()))
        except ValueError as error:
            connection.execute("INSERT INTO unreadable VALUES (?, ?)", [str(path), str(error)])
    replaced = {file for manifest in manifests for file in manifest["replaces"]}
    files = [store / "compacted" / manifest["file"] for manifest in manifests if manifest["file"] not in replaced]
    for file in files:
        if not file.exists():
            connection.execute("INSERT INTO unreadable VALUES (?, 'a manifest names it')", [str(file)])
    return [file for file in files if file.exists()]


def _attempts(connection: duckdb.DuckDBPyConnection, table: str, files: list[Path], *, whole: bool = False) -> None:
    """Return the attempts in `files`; with `whole` also a digest of every row."""
    columns = ", ".join(f'"{name}" {kind}' for name, kind in _ATTEMPT.items())
    connection.execute(f"CREATE TABLE {table} ({columns}, file VARCHAR, content VARCHAR)")
    names = ", ".join(f'"{name}"' for name in _ATTEMPT)
    content = "md5(CAST(t AS VARCHAR))" if whole else "NULL"
    query = f"INSERT INTO {table} SELECT {names}, ?, {content} FROM read_parquet(?) t"  # noqa: S608 - names are ours
    for file in files:
        try:
            connection.execute(query, [str(file), str(file)])
        except duckdb.Error as error:
            connection.execute("INSERT INTO unreadable VALUES (?, ?)", [str(file), str(error)[:200]])


def _json(connection: duckdb.DuckDBPyConnection, table: str, path: Path, **columns: str) -> None:
    text = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
    connection.execute(f"CREATE TABLE {table} ({text})")
    if path.exists():
        form = "array" if path.suffix == ".json" else "newline_delimited"
        connection.execute(
            f"INSERT INTO {table} FROM read_json(?, format = '{form}', columns = {columns!r})",
            [str(path)],
        )
