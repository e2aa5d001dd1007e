"""Run by the peer's own Python, never imported by Joulefleet: codecarbon's reader of RAPL on given readings.

Called as ``python -I codecarbon_driver.py``. Reads one JSON document from stdin, a list of counters,
each with ``range_uj`` and ``readings`` (pairs of seconds and microjoules, null where the read
fails), and writes one to stdout: for each counter the joules that the peer sums up.

The peer's own class does the computing, ``codecarbon.core.rapl.RAPLFile``: ``start`` at the first reading,
``delta`` at each later one, on a file that holds the value of that reading. A sample that it skips adds
nothing, as in its ``IntelRAPL.get_cpu_details``.
"""

import importlib
import json
import sys
import tempfile
from pathlib import Path

_JOULES_PER_KWH = 3.6e6


def joules(folder: Path, range_uj: int, readings: list[tuple[float, int | None]]) -> float:
    """Return the joules that the peer computes from one counter."""
    rapl = importlib.import_module("codecarbon.core.rapl")
    units = importlib.import_module("codecarbon.core.units")
    energy, limit = folder / "energy_uj", folder / "max_energy_range_uj"
    limit.write_text(f"{range_uj}\n", encoding="ascii")
    (before_s, first), *later = readings
    _write(energy, first)
    counter = rapl.RAPLFile(name="counter", path=str(energy), max_path=str(limit))
    counter.start()
    total_kwh = 0.0
    for now_s, value in later:
        _write(energy, value)
        counter.delta(units.Time(seconds=now_s - before_s))
        total_kwh += counter.energy_delta.kWh
        before_s = now_s
    return total_kwh * _JOULES_PER_KWH


def _write(file: Path, value: int | None) -> None:
    file.write_text("" if value is None else f"{value}\n", encoding="ascii")


def main() -> None:
    """Answer the document on stdin."""
    importlib.import_module("codecarbon.external.logger").logger.setLevel("ERROR")
    with tempfile.TemporaryDirectory() as folder:
        answers = [joules(Path(folder), counter["range_uj"], counter["readings"]) for counter in json.load(sys.stdin)]
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
