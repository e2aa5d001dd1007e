"""The studies of the soak: tiny models and real trials of about a second, with always some trials left."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY

MODELS = ("big", "small")

TASKS = ("one", "two")

_CHANGES = {
    "measure.baseline_s": 0.2,
    "measure.cool_down": {"fixed_s": 0.1, "at_most_s": 0},
    "measure.timeout_s": 120,
}
_WINDOWS = {"steady": {"passes": 20}, "piloted": {"at_least_s": 0.2}, "intruder": {"passes": 3}}


def write_study(folder: Path, name: str, repetitions: int, *, seed: int = 1) -> Path:
    """Write a study as a file."""
    path = folder / f"{name}.yaml"
    own = {"name": name, "seed": seed, "repetitions": repetitions, "measure.window": _WINDOWS[name]}
    path.write_text(changed(TINY_STUDY, _CHANGES | own))
    return path


@dataclass(slots=True, kw_only=True)
class Studies:
    """The studies of one store, in turn. Each goes on with `step` more repetitions."""

    folder: Path
    seed: int
    machines: tuple[str, ...]
    step: int
    names: tuple[str, ...] = ("steady", "piloted")
    repetitions: dict[str, int] = field(default_factory=dict)
    _turn: int = -1

    @property
    def now(self) -> Path:
        """Return the file of the current study."""
        return self.folder / f"{self.names[self._turn % len(self.names)]}.yaml"

    def grow(self) -> None:
        """Go to the next study and add repetitions to it."""
        self._turn += 1
        name = self.names[self._turn % len(self.names)]
        self.repetitions[name] = self.repetitions.get(name, 0) + self.step
        write_study(self.folder, name, self.repetitions[name], seed=self.seed)
        plan = [
            {"study": study, "repetitions": count, "machine": machine, "model": model, "task": task}
            for study, count in self.repetitions.items()
            for machine in self.machines
            for model in MODELS
            for task in TASKS
        ]
        (self.folder / "plan.json").write_text(json.dumps(plan, indent=1))

    def files(self) -> list[Path]:
        """Return the files of the studies that have begun."""
        return [self.folder / f"{name}.yaml" for name in self.repetitions]
