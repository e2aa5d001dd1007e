"""Which machines count as alike for placement `any-machine`."""

from __future__ import annotations

from dataclasses import replace

from coordinator.scheduling.machine_class import machine_class
from tests.support.fake_cluster import MACHINE


def test_memory_counts_as_it_is_sold() -> None:
    """Of 16 GB the kernel sees 15.4 to 15.7 GiB: firmware and graphics take some."""

    def of(gib: float) -> str:
        return machine_class(replace(MACHINE, memory_bytes=int(gib * 2**30)))

    assert of(15.499) == of(15.501) == of(14.9) == of(16)
    assert of(23.4) == of(24) != of(31.2)
    assert of(251.6) == of(256) != of(187)


def test_a_class_is_made_of_what_decides_the_speed() -> None:
    """Names, ids and a few megabytes that the firmware keeps make no difference."""
    machine = replace(MACHINE, memory_bytes=64 * 2**30)
    assert machine_class(machine) == machine_class(
        replace(machine, machine_id="b", name="b", memory_bytes=64 * 2**30 - 5_000_000)
    )
    for other in (replace(machine, cpu_model="x"), replace(machine, logical_cpus=2), replace(machine, sockets=2)):
        assert machine_class(other) != machine_class(machine)
