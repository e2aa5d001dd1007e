"""The plan of a study, as text and as JSON data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from coordinator.planning.preview import NOWHERE, Outlook
from coordinator.text import duration_text
from joulefleet.plan.expand import cells, comparands
from joulefleet.study.load import study_to_json
from joulefleet.study.primary import primary_digest
from joulefleet.study.spec import Study
from joulefleet.study.timing import timing


def outlook_text(outlook: Outlook) -> str:
    """Return `outlook` as text: the design, the order of the first blocks, progress and expected duration."""
    study = outlook.pinned.study
    times = timing(study)
    window = study.measure.window.passes
    lines = [
        f"Study {study.name}: {study.description.strip()}".rstrip(": "),
        "",
        (
            f"{len(study.models)} models × {len(study.tasks)} tasks, {len(cells(study))} cells, "
            f"{study.repetitions} blocks = {outlook.total} trials on each machine, regime {study.regime}."
        ),
        f"Each trial: baseline {times.baseline_s:g} s, warm-up {times.warm_up_at_least_s:g} s or more, window "
        + (f"{window} passes" if window else f"{times.window_at_least_s:g} s or more")
        + f", {study.measure.isolation} isolation.",
        "",
        "Compared:",
        *(
            f"  {c.name}: {c.student} / {c.teacher}"
            + (f" (a proof: the ratio should be {c.expected_ratio:.2f})" if c.expected_ratio else "")
            for c in comparands(study)
        ),
        *_primary_lines(study),
        "",
        "Order:" + ("" if outlook.machine_id != NOWHERE else " (for a machine without an identity)"),
    ]
    shown = outlook.blocks[:3]
    lines += [f"  block {block.number}: " + ", ".join(str(t.cell) for t in block.trials) for block in shown]
    if len(outlook.blocks) > len(shown):
        lines.append(f"  … and {len(outlook.blocks) - len(shown)} more blocks")
    lines.append("")
    if outlook.pilots_to_do:
        lines.append(f"First, {outlook.pilots_to_do} short pilots determine the number of passes of each window.")
    if outlook.store_id is not None:
        failed = f", {outlook.failed} of them failed" if outlook.failed else ""
        lines.append(f"In the store: {outlook.done} of {outlook.total} trials done{failed}.")
        if outlook.obsolete:
            lines.append(
                f"  {outlook.obsolete} attempts of an earlier version of the study stay there and are not used."
            )
    about = "" if outlook.measured_passes else " (an estimate until the pilots have run)"
    lines.append(f"Expected: {duration_text(outlook.expected_s)}{about}.")
    return "\n".join(lines)


def _primary_lines(study: Study) -> list[str]:
    stated = study.primary
    pairs = study.pairs if stated.pairs is None else stated.pairs
    if not pairs:
        return []
    tasks = study.tasks if stated.tasks is None else stated.tasks
    what = f"{stated.metric} of {', '.join(pairs)} on {', '.join(tasks)}"
    lines = [
        f"Primary, stated before the data ({primary_digest(study_to_json(study))[:8]}):",
        f"  {what}, alpha {stated.alpha:g} over all of them (Holm)",
    ]
    if stated.non_inferior_percent is not None:
        lines.append(f"  also tested: at most {stated.non_inferior_percent:g} % more")
    if stated.equivalent_percent is not None:
        lines.append(f"  also tested: equal within {stated.equivalent_percent:g} %")
    if stated.exclude_flags:
        lines.append(f"  excluded: blocks with a trial flagged {', '.join(stated.exclude_flags)}")
    if stated.precision_percent is not None:
        lines.append(
            f"  after the pilot blocks, as many blocks are added as a precision of {stated.precision_percent:g} % needs"
        )
    return lines


def outlook_json(outlook: Outlook) -> dict[str, Any]:
    """Return `outlook` as JSON data, with every trial of every block."""
    return {
        "study": outlook.pinned.study.name,
        "machine_id": outlook.machine_id,
        "trials": outlook.total,
        "done": outlook.done,
        "failed": outlook.failed,
        "obsolete": outlook.obsolete,
        "pilots_to_do": outlook.pilots_to_do,
        "primary": asdict(outlook.pinned.study.primary)
        | {"digest": primary_digest(study_to_json(outlook.pinned.study))},
        "expected_s": round(outlook.expected_s, 1),
        "passes_known": outlook.measured_passes,
        "blocks": [
            {
                "block": block.number,
                "trials": [
                    {
                        "position": trial.position,
                        "cell": str(trial.cell),
                        "trial_id": trial.trial_id if outlook.measured_passes else None,
                        "passes": trial.protocol.passes if outlook.measured_passes else None,
                    }
                    for trial in block.trials
                ],
            }
            for block in outlook.blocks
        ],
    }
