"""How many blocks a study is asked for next: as many as it says, or in two stages until it is precise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from joulefleet.analysis import Store
from joulefleet.analysis.statistics.sizes import PILOT_BLOCKS
from joulefleet.analysis.stopping import blocks_needed
from joulefleet.study import Study
from joulefleet.study_file import study_from_json


class Stages:
    """Without a precision there is one stage. With one, the first measures the pilot blocks.

    Only the width of the intervals decides about the second, whole blocks for all pairs: never a ratio, and never
    twice. What was decided is found again after an interruption, as it follows from the pilot blocks alone.
    """

    def __init__(self, study: Study, *, at_most: int) -> None:
        stated = study.primary
        self._two = stated.precision_percent is not None
        self._asked = study
        self._at_most = at_most
        if self._two:
            pilot = stated.pilot_blocks or max(PILOT_BLOCKS, study.repetitions)
            self._asked = replace(study, repetitions=pilot, primary=replace(stated, pilot_blocks=pilot))
        self._blocks = self._asked.repetitions
        self._decided = not self._two

    def study(self, last: Mapping[str, Any]) -> Study:
        """The study of this stage; `last` is its newest record, empty where there is none.

        Blocks that were added before an interruption stay asked for.
        """
        if self._two and last:
            before = study_from_json(last["study"])
            if before.primary == self._asked.primary:
                self._blocks = max(self._blocks, before.repetitions)
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
        known = {need.what: need.blocks for need in needs if need.blocks is not None}
        if not known:
            return False
        most = max(known, key=lambda what: known[what])
        percent = self._asked.primary.precision_percent
        wanted = min(known[most], max(self._at_most, self._asked.repetitions))
        if known[most] > wanted:
            say(f"{most} needs {known[most]} blocks for {percent:g} %; --at-most allows {wanted}")
        if wanted <= self._blocks:
            return False
        say(f"for {percent:g} % of {most}: {wanted - self._blocks} blocks more, {wanted} in all")
        self._blocks = wanted
        return True
