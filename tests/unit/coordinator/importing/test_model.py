"""The identity of machines that another tool measured on."""

from __future__ import annotations

from coordinator.importing.mapping.spec import MachineRecord
from coordinator.importing.model import ImportedMachine


def test_the_id_of_the_mapping_is_kept() -> None:
    """So the machine is the same one as in measured studies."""
    assert ImportedMachine(name="a", record=MachineRecord(machine_id="m1")).machine_id == "m1"


def test_an_id_is_made_of_name_cpu_and_number_of_cpus() -> None:
    """Two imports of the same machine agree, whatever else the mapping states."""
    cpu = MachineRecord(cpu_model="X", logical_cpus=8)
    first = ImportedMachine(name="a", record=cpu).machine_id
    assert (
        ImportedMachine(name="a", record=MachineRecord(cpu_model="X", logical_cpus=8, os="Linux")).machine_id == first
    )
    others = [
        ImportedMachine(name="b", record=cpu),
        ImportedMachine(name="a", record=MachineRecord(cpu_model="Y", logical_cpus=8)),
        ImportedMachine(name="a", record=MachineRecord(cpu_model="X", logical_cpus=16)),
    ]
    assert len({first, *(machine.machine_id for machine in others)}) == 4
