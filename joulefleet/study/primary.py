"""What a study states before it has any data: which comparisons are primary, and how they are judged.

All else that its data show is exploratory. The statement is part of the study, so of every record of
it, and its digest says whether it has changed since the first trial.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from joulefleet.digest import digest

PrimaryMetric = Literal["energy", "time", "cpu_time", "cpu_use", "memory"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """The primary family: one metric of some pairs on some tasks, at every level of the factors."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    metric: Annotated[PrimaryMetric, Field(description="energy and the times are of one item.")] = "energy"
    pairs: Annotated[tuple[str, ...] | None, Field(min_length=1, description="Default: every pair.")] = None
    tasks: Annotated[tuple[str, ...] | None, Field(min_length=1, description="Default: every task.")] = None
    alpha: Annotated[
        float, Field(gt=0, le=0.5, description="Rate of any false positive in the family; 1 - alpha is the intervals'.")
    ] = 0.05
    non_inferior_percent: Annotated[
        float | None, Field(gt=0, lt=1000, description="Ask also whether the student needs at most so much more.")
    ] = None
    equivalent_percent: Annotated[
        float | None, Field(gt=0, lt=1000, description="Ask also whether both need the same within this margin.")
    ] = None
    exclude_flags: Annotated[
        tuple[str, ...], Field(description="Blocks with a trial that carries one of these flags are left out.")
    ] = ()
    precision_percent: Annotated[
        float | None,
        Field(gt=0, lt=1000, description="Blocks are added after the pilot blocks until the intervals are so narrow."),
    ] = None
    pilot_blocks: Annotated[
        int | None,
        Field(ge=10, le=100_000, description="Blocks whose variance fixes how many there will be; filled in by `run`."),
    ] = None


def primary_digest(definition: Mapping[str, Any]) -> str:
    """What tells the statements of two studies apart, from the study as JSON data.

    The family is hashed as it is: which models each pair compares, the tasks, every level of the factors.
    A task that is added joins the family, unless the study names the tasks that are primary. How many
    blocks the pilot has is no part of it: `run` fills that in.
    """
    stated: dict[str, Any] = {**definition["primary"], "pilot_blocks": None}
    pairs: Mapping[str, Any] = definition["pairs"]
    tasks = definition["tasks"] if stated["tasks"] is None else stated["tasks"]
    named = pairs if stated["pairs"] is None else stated["pairs"]
    return digest(
        stated
        | {
            "pairs": {name: pairs.get(name) for name in named},
            "tasks": sorted(tasks),
            "factors": definition["factors"],
            "environments": definition["environments"],
        }
    )
