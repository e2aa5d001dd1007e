"""The engine, the images in it, and fleets of containers."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.engine import Engine, engine
from tests.containers.offline import base_image, build

FOLDER = Path(os.environ.get("JOULEFLEET_ENGINE") or Path(tempfile.gettempdir(), "joulefleet-engine"))
"""Of an engine of our own: the base of the images and their layers stay in it for the next time."""


@pytest.fixture(scope="session")
def host() -> Iterator[Engine]:
    """An engine with both images."""
    with engine(FOLDER) as found:
        base_image(found, FOLDER)
        build(found, show=False)
        yield found
