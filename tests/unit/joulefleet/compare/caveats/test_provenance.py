"""The caveats about the provenance of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from joulefleet.compare.caveats.provenance import energy_caveats, regime_caveats, weights_caveats
from joulefleet.compare.metrics import Basis
from joulefleet.compare.results import Caveat, Setting
from tests.support.comparison_records import (
    MODELLED,
    PACKAGE,
    comparison_of_metric,
    estimate,
    evidence,
    facts,
    finding_of,
    trial,
)


def texts(caveats: Iterable[Caveat]) -> list[tuple[str, str]]:
    """Return level and text of each caveat."""
    return [(caveat.level, caveat.text) for caveat in caveats]


def energy(basis: Basis | None, **values: Any) -> list[tuple[str, str]]:
    """Return the caveats of a comparison of energy on `basis`, with one trial of these values."""
    one = comparison_of_metric(estimate(0.5), metric="energy", basis=basis)
    return texts(energy_caveats(evidence(others=[one], trials={"one": [trial(**values)]})))


def test_measured_energy_is_not_energy_at_the_wall() -> None:
    """The note is the same for comparisons and findings."""
    expected = [("note", "Energy is what the CPU's own counters say (package), not energy at the wall.")]
    assert energy(PACKAGE) == expected
    finding = finding_of(estimate(0.5), metric="energy", basis=PACKAGE)
    assert texts(energy_caveats(evidence(findings=[finding]))) == expected


def test_simulated_energy_says_where_its_counters_were() -> None:
    """It is a warning, not a note."""
    simulated = Basis(provenance="simulated", scope="package", source="powercap")
    ((level, text),) = energy(simulated, energy_provenance="simulated", sysfs_root="/simulated")
    assert level == "warning"
    assert "files under /simulated that are not the running kernel's" in text


def test_modelled_energy_has_its_formula_and_why_it_was_not_measured() -> None:
    """Reasons of failed trials do not count."""
    assert energy(MODELLED, energy_reason="masked") == [
        ("note", "Modelled energy is computed, not measured: idle + busy. Not measured, because: masked.")
    ]
    assert energy(MODELLED, energy_reason="masked", status="failed")[0][1].endswith("idle + busy.")


def test_reported_energy_names_its_tool() -> None:
    """It is not known whether the tool measured or modelled it."""
    ((_, text),) = energy(Basis(provenance="reported", scope=None, source="PowerJoular"))
    assert text.endswith("not known to be measured or modelled: PowerJoular.")


def test_unknown_energy_is_not_guessed() -> None:
    """The reasons of ok trials are counted."""
    assert energy(None, energy_reason="masked") == [
        ("warning", "Energy is unknown, and not guessed: masked ×1."),
    ]
    assert energy(None, status="failed") == []
    assert energy(None)[0][1].endswith("no reason is known ×1.")
    assert texts(energy_caveats(evidence(others=[comparison_of_metric(estimate(0.5))]))) == []


def test_a_study_in_the_burst_regime_is_a_demonstration() -> None:
    """There is one note for each study."""
    burst = facts(setting=Setting(study="one", regime="burst"))
    ((level, text),) = texts(regime_caveats([burst, burst, facts()]))
    assert (level, text.split(":")[0]) == ("note", "one ran in the burst regime")


def test_seeded_weights_have_no_quality() -> None:
    """The note has the most frequent reason."""
    seeded = facts(setting=Setting(study="one", weights_source="seeded"))
    why = trial(weights_source="seeded", quality_reason="the weights are seeded.")
    given, not_given = (
        texts(weights_caveats(evidence(facts=[seeded, facts()], trials={"one": of}))) for of in ([why], [])
    )
    assert given == [
        (
            "note",
            (
                "one uses weights drawn from a seed: the costs are real, but quality is null, "
                "because the weights are seeded."
            ),
        )
    ]
    assert not_given[0][1].endswith("because weights drawn from a seed answer at random.")
