from pathlib import Path

import pytest

from tests.soak.sabotage import SABOTAGES, sabotaged


@pytest.mark.parametrize("name", ["", *SABOTAGES])
def test_each_safeguard_is_still_where_it_is_removed_from(name: str, tmp_path: Path) -> None:
    """Otherwise a soak without the safeguard could not be started, and nobody would know that soaks notice it."""
    sabotaged(name, tmp_path)
