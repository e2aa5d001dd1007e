"""`python -m agent TRIAL.json`: measure one trial by hand and print its row."""

from __future__ import annotations

import argparse
import json
import sys
from array import array
from pathlib import Path

from agent.service import AgentService
from joulefleet.errors import EXIT_FAILED_TRIALS, EXIT_INTERRUPTED, JoulefleetError
from joulefleet.plan.trial import read_trial

_EPILOG = """examples:
  joulefleet plan quick --trials trials     write the trials of a study as files
  python -m agent trials/0001.json          run one of them here
"""


def _plain(value: object) -> object:
    return list(value) if isinstance(value, array) else str(value)


def main(argv: list[str] | None = None) -> int:
    """Measure the trial, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m agent",
        description="Measure one trial on this machine and print its row as JSON. Nothing is stored.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("trial", type=Path, metavar="TRIAL.json")
    parser.add_argument("--readings", action="store_true", help="print the readings and latencies too")
    arguments = parser.parse_args(argv)
    service = AgentService()
    try:
        trial = read_trial(arguments.trial)
        print(f"preparing {trial.cell}", file=sys.stderr)
        service.prepare([(trial.protocol.model, trial.protocol.task)])
        print(f"measuring {trial.cell}", file=sys.stderr)
        row = service.measured_row(trial)
        if not arguments.readings:
            row = {key: value for key, value in row.items() if key not in ("readings", "latencies_ns")}
        print(json.dumps(row, indent=2, default=_plain))
        return 0 if row["status"] == "ok" else EXIT_FAILED_TRIALS
    except JoulefleetError as error:
        print(f"agent: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("agent: interrupted, nothing is stored", file=sys.stderr)
        return EXIT_INTERRUPTED
    finally:
        service.close()


if __name__ == "__main__":
    sys.exit(main())
