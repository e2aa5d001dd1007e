"""How many blocks a run measures: as many as the study says, or two stages until its result is precise enough."""

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


class TwoStage:
    """The stages of a run: one without a precision; with one, pilot blocks and then what their variance asks for.

    A run calls `study` before each stage and `needs_more` after it. The second stage adds whole blocks for all
    pairs, once. Its size depends on the width of the intervals alone, never on a ratio, and it follows from the pilot
    blocks alone: after an interruption it comes out the same.
    """

    def __init__(self, study: Study, *, at_most: int) -> None:
        """Raise StudyError where `study` states a precision but spreads its blocks over machines."""
        self._study = study
        self._at_most = at_most
        self._state_precision(study.primary)

    def _state_precision(self, primary: Primary) -> None:
        self._has_precision = primary.precision_percent is not None
        if self._has_precision:
            if self._study.placement != "every-machine":
                raise StudyError(
                    "A precision needs all blocks of a machine, and placement any-machine spreads them.",
                    cure="Write `placement: every-machine` in the study, or leave out the precision.",
                )
            pilot = primary.pilot_blocks or max(PILOT_BLOCKS, self._study.repetitions)
            self._study = replace(self._study, repetitions=pilot, primary=replace(primary, pilot_blocks=pilot))
        self._blocks = self._study.repetitions
        self._decided = not self._has_precision

    def study(self, last: StudyRecord | None) -> Study:
        """Return the study of this stage; `last` is its newest record, None where there is none.

        Blocks that were added before an interruption are kept, and so is a precision that only the command line of
        an earlier run stated: without it the claim of the study would be another.
        """
        if last is not None and last.imported is None:
            before = study_from_json(last.definition).primary
            if (
                not self._has_precision
                and replace(before, precision_percent=None, pilot_blocks=None) == self._study.primary
            ):
                self._state_precision(before)
            if self._has_precision and before == self._study.primary:
                self._blocks = max(self._blocks, int(last.definition["repetitions"]))
        return replace(self._study, repetitions=self._blocks)

    def needs_more(self, store: Path, *, note: Callable[[str], None]) -> bool:
        """Tell whether a second stage follows what `store` holds of the first; note why and how long, or why not."""
        if self._decided:
            return False
        self._decided = True
        with Store.open(store) as opened:
            needs = blocks_needed(opened, self._study.name)
        for need in needs:
            if need.blocks is None:
                note(f"{need.what}: {need.reason}")
        needed, largest = max(((need.blocks or 0, need.what) for need in needs), default=(0, ""))
        percent = self._study.primary.precision_percent
        blocks = min(needed, max(self._at_most, self._study.repetitions))
        if needed > blocks:
            note(f"{largest} needs {needed} blocks for {percent:g} %; --at-most allows {blocks}")
        if blocks <= self._blocks:
            return False
        note(f"for {percent:g} % of {largest}: {blocks - self._blocks} blocks more, {blocks} in all")
        self._blocks = blocks
        return True
