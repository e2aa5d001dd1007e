import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from coordinator.cli.doctor import doctor
from tests.support.machines import machine_names, unpacked

ROOT = Path(__file__).parents[4]
FULL = unpacked("two-packages-with-dram")

app = typer.Typer()
app.command()(doctor)


def run(*arguments: str) -> str:
    """Return what the command prints; it must succeed."""
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


@dataclass(frozen=True)
class Expected:
    """What the doctor reports of one machine."""

    scope: str | None
    total: list[str]
    """Domains that the total is the sum of."""
    unreadable: list[str]
    why_missing: list[str]
    """Reasons why energy counters are missing."""


TWO = ["package-0", "package-0/dram", "package-1", "package-1/dram"]
ABSENT = Expected(None, [], [], ["absent"])
EXPECTED = {
    "amd-multi-die-mirrored": Expected("package", ["package-0-die-0", "package-1-die-0"], [], []),
    "amd-single": Expected("package", ["package-0"], [], []),
    "cascade-lake-ap": Expected(
        "package+dram",
        [f"package-{package}-die-{die}{part}" for package in (0, 1) for die in (0, 1) for part in ("", "/dram")],
        [],
        [],
    ),
    "cgroup-v1": ABSENT,
    "cgroup-v2": ABSENT,
    "gaps-in-numbers": Expected("package+dram", TWO, [], []),
    "garbage": Expected(
        None,
        [],
        [
            "intel-rapl:4",
            "intel-rapl:5",
            "intel-rapl:8",
            "package-0/dram",
            "package-1",
            "package-1/dram",
            "package-2",
            "package-3",
            "package-7",
            "psys",
        ],
        ["absent", "unreadable"],
    ),
    "masked-by-container": Expected(None, [], [], ["masked"]),
    "mmio-duplicate": Expected("package", ["package-0"], [], []),
    "no-rapl": ABSENT,
    # The user who unpacks it owns the counters; test_powercap_permission.py reads them as another user.
    "not-permitted": Expected("package+dram", TWO, [], []),
    "psys-first": Expected("package", ["package-0"], [], []),
    "two-packages-with-dram": Expected("package+dram", TWO, [], []),
    "unreadable-range": Expected("package+dram", ["package-0", "package-0/dram"], [], []),
    "wraps": Expected("package+dram", ["package-0", "package-0/dram"], [], []),
}

KEYS = [
    "machine",
    "environment",
    "domains",
    "of_running_kernel",
    "energy_sources",
    "total_scope",
    "longest_power_limit_window_s",
    "gauges",
    "missing",
    "findings",
]


def roots(machine: str) -> tuple[str, ...]:
    """Return the arguments that name a machine's /sys, and its /proc where it has one."""
    own = unpacked(machine) / "proc"
    return "--sysfs-root", str(unpacked(machine) / "sys"), "--proc-root", str(own if own.exists() else FULL / "proc")


@pytest.mark.parametrize("machine", machine_names())
def test_the_doctor_reports_every_machine(machine: str) -> None:
    """Its domains, what adds up and what is missing. A new machine needs a line in `EXPECTED`."""
    data, expected = json.loads(run("--json", *roots(machine))), EXPECTED[machine]
    assert list(data) == KEYS
    assert data["total_scope"] == expected.scope
    assert [d["name"] for d in data["domains"] if d["in_total"]] == expected.total
    assert [d["name"] for d in data["domains"] if not d["readable"]] == expected.unreadable
    assert all((d["reason"] is None) == d["readable"] for d in data["domains"])
    energy = [m for m in data["missing"] if m["what"].startswith("energy")]
    assert sorted(m["why"] for m in energy) == expected.why_missing
    assert all(m["message"] and m["cure"] for m in data["missing"])
    # The counters of an unpacked machine belong to no kernel.
    assert data["of_running_kernel"] == (not data["domains"])


@pytest.mark.parametrize("machine", machine_names())
def test_the_doctor_prints_every_machine_for_people(machine: str) -> None:
    """Whatever the files hold, only plain text reaches the terminal."""
    text = run(*roots(machine))
    assert "Energy counters" in text
    assert "Source powercap: reads" in text
    assert text.replace("\n", "").isprintable()


def test_the_doctor_runs_as_a_program() -> None:
    """It prints only the JSON, and no traceback."""
    command = [sys.executable, "-m", "coordinator", "doctor", "--json", *roots("garbage")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert list(json.loads(done.stdout)) == KEYS
    assert done.stderr == ""


def test_piped_text_is_plain() -> None:
    """No colours, boxes or cursor movements reach a pipe."""
    text = run("--sysfs-root", str(FULL / "sys"), "--proc-root", str(FULL / "proc"))
    assert "\x1b" not in text
    assert text.isascii()
    assert "The scope of the total is package+dram. It is not wall energy." in text


def test_the_command_imports_nothing_heavy_before_it_runs() -> None:
    """`joulefleet --help` must answer at once, so the doctor imports what it needs only when it runs."""
    code = (
        "import sys, coordinator.cli.doctor; "
        "heavy = {'agent', 'torch', 'ray', 'duckdb', 'scipy', 'pyarrow', 'psutil'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_doctor_needs_neither_torch_nor_ray_nor_psutil() -> None:
    """In a base-only install it reports what is missing."""
    code = (
        "import sys; sys.modules.update(torch=None, ray=None, psutil=None, transformers=None); "
        "from coordinator.cli.doctor import doctor; doctor(json_=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "domains" in json.loads(done.stdout)
