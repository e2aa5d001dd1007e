from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.machines import unpack_machine

CopyMachine = Callable[[str], Path]


@pytest.fixture
def copy_machine(tmp_path: Path) -> CopyMachine:
    """Unpack a machine that the test may change, and return the folder of its /sys."""

    def copy(name: str) -> Path:
        return unpack_machine(name, tmp_path / name) / "sys"

    return copy
