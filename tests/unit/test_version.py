"""The version stands in one place, joulefleet.__version__; what repeats it says the same."""

from __future__ import annotations

import re
from pathlib import Path

from joulefleet import __version__

ROOT = Path(__file__).resolve().parents[2]
IMAGE = re.compile(
    r"joulefleet-(?:agent|coordinator)[^\s:]*:(?:\$\{JOULEFLEET_TAG:-)?(\d[\w.]*)|ARG VERSION=(\S+)|^version: (\S+)$",
    re.MULTILINE,
)


def test_images_have_the_version() -> None:
    """Dockerfile, Compose, manifests and documents name the image tags of this version."""
    files = [*ROOT.glob("docker/*"), *ROOT.glob("k8s/**/*.yaml"), *ROOT.glob("docs/*.md"), ROOT / "CITATION.cff"]
    named = {
        (str(file.relative_to(ROOT)), next(filter(None, found)))
        for file in files
        if file.is_file()
        for found in IMAGE.findall(file.read_text(encoding="utf-8"))
    }
    assert {"docker/Dockerfile", "docker/compose.yaml", "k8s/base/cluster.yaml", "CITATION.cff"} <= {
        name for name, _ in named
    }
    assert {version for _, version in named} == {__version__}


def test_the_package_takes_its_version_from_the_module() -> None:
    """pyproject.toml has no number of its own."""
    assert not re.search(r"^version = ", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
