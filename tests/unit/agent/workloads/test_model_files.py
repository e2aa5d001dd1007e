"""The paths and the digest of a model folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.workloads.model_files import folder_digest, weights_folder
from joulefleet.errors import StudyError
from joulefleet.plan.trial import ResolvedModel
from joulefleet.study.spec import Architecture


def folder_with(tmp_path: Path, **files: bytes) -> Path:
    """Write files into a folder and return it; `_` in a name stands for a dot."""
    for name, content in files.items():
        (tmp_path / name.replace("_", ".")).write_bytes(content)
    return tmp_path


def test_the_digest_depends_on_the_bytes(tmp_path: Path) -> None:
    """Weights or a configuration with another byte are another model."""
    folder = folder_with(tmp_path, config_json=b"{}", model_safetensors=b"1")
    first = folder_digest(folder)
    assert folder_digest(folder) == first
    (folder / "model.safetensors").write_bytes(b"22")
    second = folder_digest(folder)
    (folder / "config.json").write_bytes(b"{ }")
    assert len({first, second, folder_digest(folder)}) == 3


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"model_safetensors": b""}, "no config.json"),
        ({"config_json": b"{}"}, "has no safetensors"),
        ({"config_json": b"{}", "model_bin": b""}, "pickled weights, which are never loaded"),
    ],
)
def test_a_folder_without_configuration_or_safetensors_is_refused(
    tmp_path: Path, files: dict[str, bytes], says: str
) -> None:
    """Pickled weights could run code, so they count as none."""
    with pytest.raises(StudyError, match=says):
        folder_digest(folder_with(tmp_path, **files))


def test_each_head_of_a_model_has_its_own_folder(tmp_path: Path) -> None:
    """Two numbers of labels have two folders; the user's own folder is used as it is."""
    seeded = ResolvedModel(architecture=Architecture(model_type="bert"), digest="abc")
    assert weights_folder(tmp_path, seeded, labels=2) != weights_folder(tmp_path, seeded, labels=3)
    assert weights_folder(tmp_path, ResolvedModel(path="/models/x", digest="d"), labels=2) == Path("/models/x")
