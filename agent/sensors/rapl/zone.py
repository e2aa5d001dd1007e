"""Reading one zone of the powercap tree: its name, the range of its counter, and the power limits in force.

What a file holds is either something that the kernel writes there, or unknown (None, or left out).
"""

from __future__ import annotations

import re
from pathlib import Path

from agent.host.files import number, text
from agent.sensors.files import numbered
from agent.sensors.rapl.domains import Zone, ZonePowerLimit

_DIGITS = 20  # of a number of 64 bits
# The names that the driver gives to zones and constraints. They are printed to terminals and stored in rows.
_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
# Firmware lets the long-term limit average over 448 s at most; a longer window was never set.
_LONGEST_WINDOW_US = 600_000_000
# The widest field of a limit has 18 bits (TPMI_POWER_LIMIT_MASK in drivers/powercap/intel_rapl_common.c) of 1/8 W.
_HIGHEST_LIMIT_UW = 2**18 * 125_000


def read_zone(folder_name: str, path: Path) -> Zone:
    """Return the zone in the folder `path`. Never raises: what cannot be read is None."""
    range_uj = number(path / "max_energy_range_uj")
    return Zone(
        zone=folder_name,
        path=path,
        name=_name(path / "name"),
        range_uj=range_uj if range_uj is not None and range_uj > 0 else None,
        limits=_limits(path),
    )


def microjoules(field: bytes | None) -> int | None:
    """Return the microjoules in the bytes of an energy_uj file; None where they are not digits alone."""
    # int() alone accepts "1_000", "+5" and "-5" too.
    digits = field.strip() if field else b""
    return int(digits) if digits.isdigit() and len(digits) <= _DIGITS else None


def _limits(path: Path) -> tuple[ZonePowerLimit, ...]:
    """Return the limits above 0 W, in the order of their numbers; no limit where the zone is switched off."""
    if number(path / "enabled") == 0:
        return ()
    limits = []
    for index, file in numbered(path, r"constraint_(\d+)_power_limit_uw"):
        limit_uw, window_us = number(file), number(path / f"constraint_{index}_time_window_us")
        if limit_uw is None or not 0 < limit_uw <= _HIGHEST_LIMIT_UW:
            continue
        is_set = window_us is not None and 0 < window_us <= _LONGEST_WINDOW_US
        limits.append(
            ZonePowerLimit(
                name=_name(path / f"constraint_{index}_name") or f"constraint_{index}",
                watts=limit_uw / 1e6,
                window_s=window_us / 1e6 if window_us is not None and is_set else None,
            )
        )
    return tuple(limits)


def _name(file: Path) -> str | None:
    name = text(file)
    return name if name is not None and _NAME.fullmatch(name) else None
