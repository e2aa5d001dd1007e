"""The primary comparisons of a study, stated before it has any data, and how they are judged.

Everything else that its data show is exploratory. The statement is part of the study, and therefore of every
record of it; its digest shows whether it has changed since the first trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

from joulefleet.digest import digest
from joulefleet.yamlfile.closed_record import ClosedRecord

PrimaryMetric = Literal["energy", "time", "cpu_time", "cpu_use", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary(ClosedRecord):
    """The primary family: one metric of some pairs on some tasks, at every level of the factors."""

    metric: Annotated[PrimaryMetric, Field(description="Energy and times are those of one item.")] = "energy"
    pairs: Annotated[tuple[str, ...] | None, Field(min_length=1, description="Default: every pair.")] = None
    tasks: Annotated[tuple[str, ...] | None, Field(min_length=1, description="Default: every task.")] = None
    alpha: Annotated[
        float,
        Field(
            gt=0,
            le=0.5,
            description="Probability of any false positive in the family; intervals have the level 1 - alpha.",
        ),
    ] = 0.05
    non_inferior_percent: Annotated[
        float | None, Field(gt=0, lt=1000, description="Also test whether the student needs at most this much more.")
    ] = None
    equivalent_percent: Annotated[
        float | None, Field(gt=0, lt=1000, description="Also test whether both need the same within this margin.")
    ] = None
    exclude_flags: Annotated[
        tuple[str, ...], Field(description="Blocks with a trial that carries one of these flags are left out.")
    ] = ()
    precision_percent: Annotated[
        float | None,
        Field(
            gt=0, lt=1000, description="Blocks are added after the pilot blocks until the intervals are this narrow."
        ),
    ] = None
    pilot_blocks: Annotated[
        int | None,
        Field(ge=10, le=100_000, description="Blocks whose variance fixes how many there will be; filled in by `run`."),
    ] = None


def primary_digest(definition: Mapping[str, Any]) -> str:
    """Return the digest of the primary statement in `definition`, a study as JSON data.

    It covers the family as it is: the models of each pair, the tasks, every level of the factors. A task that is
    added joins the family, unless the study names the tasks that are primary. The number of pilot blocks is not
    covered, because `run` fills it in.
    """
    stated: dict[str, Any] = {**definition["primary"], "pilot_blocks": None}
    pairs: Mapping[str, Any] = definition["pairs"]
    tasks = definition["tasks"] if stated["tasks"] is None else stated["tasks"]
    names = pairs if stated["pairs"] is None else stated["pairs"]
    return digest(
        stated
        | {
            "pairs": {name: pairs.get(name) for name in names},
            "tasks": sorted(tasks),
            "factors": definition["factors"],
            "environments": definition["environments"],
        }
    )
