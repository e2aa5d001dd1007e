"""How many blocks a study is asked for next: as many as it says, or in two stages until it is precise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from joulefleet.compare.two_stage import blocks_needed
from joulefleet.errors import StudyError
from joulefleet.query import Store
from joulefleet.stats.sample_size import PILOT_BLOCKS
from joulefleet.store.records import StudyRecord
from joulefleet.study.load import study_from_json
from joulefleet.study.primary import Primary
from joulefleet.study.spec import Study


class Stages:
    """Without a precision there is one stage. With one, the first measures the pilot blocks.

    Only the width of the intervals decides about the second, whole blocks for all pairs: never a ratio, and never
    twice. What was decided is found again after an interruption, as it follows from the pilot blocks alone.
    """

    def __init__(self, study: Study, *, at_most: int) -> None:
        self._asked = study
        self._at_most = at_most
        self._take(study.primary)

    def _take(self, stated: Primary) -> None:
        self._two = stated.precision_percent is not None
        if self._two:
            if self._asked.placement != "every-machine":
                raise StudyError(
                    "A precision is of each machine's blocks, and placement any-machine spreads them.",
                    cure="Say `placement: every-machine`, or leave out the precision.",
                )
            pilot = stated.pilot_blocks or max(PILOT_BLOCKS, self._asked.repetitions)
            self._asked = replace(self._asked, repetitions=pilot, primary=replace(stated, pilot_blocks=pilot))
        self._blocks = self._asked.repetitions
        self._decided = not self._two

    def study(self, last: StudyRecord | None) -> Study:
        """The study of this stage; `last` is its newest record, None where there is none.

        Blocks that were added before an interruption stay asked for, and so does a precision that only the
        command line of an earlier run stated: without it the statement would be another.
        """
        if last is not None and last.imported is None:
            before = study_from_json(last.definition).primary
            if not self._two and replace(before, precision_percent=None, pilot_blocks=None) == self._asked.primary:
                self._take(before)
            if self._two and before == self._asked.primary:
                self._blocks = max(self._blocks, int(last.definition["repetitions"]))
        return replace(self._asked, repetitions=self._blocks)

    def more(self, store: Path, *, say: Callable[[str], None]) -> bool:
        """Whether a second stage follows what `store` holds of the first; says why and how long, or why not."""
        if self._decided:
            return False
        self._decided = True
        with Store.open(store) as opened:
            needs = blocks_needed(opened, self._asked.name)
        for need in needs:
            if need.blocks is None:
                say(f"{need.what}: {need.reason}")
        needed, most = max(((need.blocks or 0, need.what) for need in needs), default=(0, ""))
        percent = self._asked.primary.precision_percent
        wanted = min(needed, max(self._at_most, self._asked.repetitions))
        if needed > wanted:
            say(f"{most} needs {needed} blocks for {percent:g} %; --at-most allows {wanted}")
        if wanted <= self._blocks:
            return False
        say(f"for {percent:g} % of {most}: {wanted - self._blocks} blocks more, {wanted} in all")
        self._blocks = wanted
        return True
