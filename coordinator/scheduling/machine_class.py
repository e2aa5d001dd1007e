"""Classes of machines that measure alike, for placement `any-machine`."""

from __future__ import annotations

import math

from joulefleet.digest import digest
from joulefleet.machine import Machine

_GIB = 2**30


def machine_class(machine: Machine) -> str:
    """Return the id of the class of `machine`: the same CPU model, topology, and memory as it is sold."""
    return "class-" + digest(
        [
            machine.cpu_model,
            machine.sockets,
            machine.physical_cores,
            machine.logical_cpus,
            _installed_gib(machine.memory_bytes),
        ]
    )


def _installed_gib(visible_bytes: int) -> float:
    """Return the memory as it is sold, GiB: the next 2^n or 3 x 2^n above what the kernel sees.

    Firmware, kernel and graphics keep a part, so that the kernel sees less. Rounded to whole GiB, two equal
    machines with 15.49 and 15.51 would be of two classes.
    """
    exponent = math.ceil(math.log2(max(visible_bytes, 1) / _GIB))
    return 0.75 * 2.0**exponent if visible_bytes <= 0.75 * 2.0**exponent * _GIB else 2.0**exponent
