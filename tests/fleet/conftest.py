"""Several Ray nodes on this host, each a machine of its own."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, written once."""
    return tmp_path_factory.mktemp("cache")
