"""The token of Ray's processes: who makes it, who may read it, and what of the user's stays."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from coordinator.cluster.ray.auth import (
    MODE_VARIABLE,
    PATH_VARIABLE,
    VALUE_VARIABLE,
    ensure_token,
    need_token,
    token_file,
)
from joulefleet.errors import MachineError


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin without a token, and forget those that it sets."""
    for name in (MODE_VARIABLE, PATH_VARIABLE, VALUE_VARIABLE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_a_token_is_made_once_and_only_its_user_can_read_it(tmp_path: Path) -> None:
    """Ray itself would make one that everyone can read."""
    token = token_file(tmp_path / "state")
    ensure_token(token)
    made = token.read_bytes()
    assert len(made) >= 32
    assert token.stat().st_mode & 0o777 == 0o600
    assert (os.environ[PATH_VARIABLE], os.environ[MODE_VARIABLE]) == (str(token), "token")
    ensure_token(token)
    assert token.read_bytes() == made


def test_the_users_own_token_and_mode_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file is made or needed beside a token in the environment."""
    monkeypatch.setenv(VALUE_VARIABLE, "0123456789abcdef")
    ensure_token(tmp_path / "token")
    need_token(tmp_path / "token", whose="the head")
    assert not (tmp_path / "token").exists()
    assert PATH_VARIABLE not in os.environ
    monkeypatch.delenv(VALUE_VARIABLE)
    monkeypatch.setenv(MODE_VARIABLE, "disabled")
    need_token(tmp_path / "token", whose="the head")
    assert os.environ[MODE_VARIABLE] == "disabled"


def test_the_file_that_the_user_names_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it is in the state folder."""
    assert token_file(tmp_path) == tmp_path / "ray-token"
    monkeypatch.setenv(PATH_VARIABLE, "/run/secrets/token")
    assert token_file(tmp_path) == Path("/run/secrets/token")


def test_a_token_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """A missing one and an empty one are, too."""
    token = tmp_path / "token"
    with pytest.raises(MachineError, match="there is no token for the head"):
        need_token(token, whose="the head")
    token.write_text("")
    with pytest.raises(MachineError, match="empty"):
        need_token(token, whose="the head")
    token.write_text("secret")
    token.chmod(0o640)
    with pytest.raises(MachineError, match="chmod 600"):
        need_token(token, whose="the head")
    with pytest.raises(MachineError, match="chmod 600"):
        ensure_token(token)
    token.chmod(0o600)
    need_token(token, whose="the head")


def test_the_modes_of_a_mounted_secret_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container's user is seldom the owner of the file on the host."""
    monkeypatch.setattr(Path, "stat", lambda self: SimpleNamespace(st_mode=0o100444))
    monkeypatch.setattr(Path, "read_bytes", lambda self: b"secret")
    need_token(Path("/run/secrets/token"), whose="the head")
    with pytest.raises(MachineError, match="chmod 600"):
        need_token(Path("/home/someone/token"), whose="the head")


def test_a_folder_that_cannot_be_written_has_a_cure(tmp_path: Path) -> None:
    """The state folder is a setting."""
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="JOULEFLEET_STATE"):
        ensure_token(tmp_path / "file" / "token")
