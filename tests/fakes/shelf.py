"""An agent's disk: the epochs it has heard of and its outbox; in memory, or by the agent's own classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from agent.epochs import Epochs
from agent.outbox import Outbox
from coordinator import finished
from joulefleet.errors import SupersededError
from joulefleet.schema import COLUMNS, attempt_table
from joulefleet.trial import Trial
from tests.fakes.attempt_rows import attempt_row

_FEW = {*finished.COLUMNS, "study", "comparison_group", "comparison_group_size"}
_SCHEMA = pa.schema([(column.name, column.type) for column in COLUMNS if column.name in _FEW])


class Shelf(Protocol):
    """What an agent keeps over its deaths, of one store."""

    def obey(self, store_id: str, epoch: int) -> None:
        """Raises SupersededError where a higher epoch was heard of."""
        ...

    def put(self, attempt_id: str, row: Mapping[str, Any]) -> bytes:
        """Keep it durably; its file."""
        ...

    def waiting(self) -> Sequence[str]:
        """What is not acknowledged."""
        ...

    def get(self, attempt_id: str) -> bytes:
        """Its file."""
        ...

    def acknowledge(self, attempt_id: str) -> None:
        """Let it go."""
        ...


class MemoryShelf:
    """The contract without a disk; its files have no more columns than a coordinator reads."""

    def __init__(self) -> None:
        self._files: dict[str, bytes] = {}
        self._epoch = 0

    def obey(self, store_id: str, epoch: int) -> None:
        """See `Shelf`."""
        if epoch < self._epoch:
            raise SupersededError("a newer coordinator commands.", cure="Let it finish.")
        self._epoch = epoch

    def put(self, attempt_id: str, row: Mapping[str, Any]) -> bytes:
        """See `Shelf`."""
        table = pa.Table.from_pylist([{name: row[name] for name in _SCHEMA.names}], schema=_SCHEMA)
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, compression="none", write_statistics=False, use_dictionary=False)
        data: bytes = buffer.getvalue().to_pybytes()
        self._files[attempt_id] = data
        return data

    def waiting(self) -> Sequence[str]:
        """See `Shelf`."""
        return sorted(self._files)

    def get(self, attempt_id: str) -> bytes:
        """See `Shelf`."""
        return self._files[attempt_id]

    def acknowledge(self, attempt_id: str) -> None:
        """See `Shelf`."""
        self._files.pop(attempt_id, None)


class DiskShelf:
    """An agent's own outbox and epochs, in a folder."""

    def __init__(self, folder: Path, store_id: str) -> None:
        self._folder = folder
        self._outbox = Outbox(folder / "outbox", store_id)
        self.waiting, self.get, self.acknowledge = self._outbox.waiting, self._outbox.get, self._outbox.acknowledge

    def obey(self, store_id: str, epoch: int) -> None:
        """As an agent that has just started: it knows only what is on the disk."""
        Epochs(self._folder).obey(store_id, epoch)

    def put(self, attempt_id: str, row: Mapping[str, Any]) -> bytes:
        """See `Shelf`."""
        return self._outbox.put(attempt_id, attempt_table(row))


def row_of(
    trial: Trial, *, machine_id: str, boot_id: str, started_s: float, wall_s: float, reason: str | None
) -> dict[str, Any]:
    """The row of `trial`, of half a second a pass; failed where there is a `reason`."""
    return attempt_row(
        study=trial.study,
        trial_id=trial.trial_id,
        attempt_id=trial.attempt_id,
        attempt=trial.attempt,
        kind=trial.kind,
        round=trial.round,
        block=trial.block,
        repetition=trial.block,
        position=trial.position,
        predecessor=trial.predecessor,
        place=trial.place,
        machine_id=machine_id,
        machine=machine_id,
        boot_id=boot_id,
        protocol=trial.protocol.digest,
        comparison_group=trial.comparison_group,
        comparison_group_size=trial.comparison_group_size,
        model=trial.cell.model,
        task=trial.cell.task,
        batch_size=trial.cell.batch_size,
        threads_asked=trial.cell.threads,
        dtype=trial.cell.dtype,
        environment=trial.cell.environment,
        passes=trial.protocol.passes,
        started_at=datetime.fromtimestamp(started_s, tz=UTC),
        wall_s=wall_s,
        status="ok" if reason is None else "failed",
        reason=reason,
        window_s=None if reason is not None else _pass_s(trial, machine_id) * trial.protocol.passes,
    )


def _pass_s(trial: Trial, machine_id: str) -> float:
    """Not the same on any two machines, so that pilots of two of them do not agree on the passes."""
    return 0.3 + 0.1 * len(trial.cell.model) / (1 + sum(machine_id.encode()) % 3)
