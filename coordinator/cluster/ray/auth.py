"""The token by which Ray's processes know each other, in a file that only its user can read.

A token authenticates; it does not encrypt.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from joulefleet.errors import MachineError

PATH_VARIABLE = "RAY_AUTH_TOKEN_PATH"
MODE_VARIABLE = "RAY_AUTH_MODE"
VALUE_VARIABLE = "RAY_AUTH_TOKEN"

MOUNTED = Path("/run/secrets")
"""Folder in which container engines mount secrets. Their modes are for the users of the host."""


def token_file(state: Path) -> Path:
    """Return `$RAY_AUTH_TOKEN_PATH`, or the default in the state folder."""
    return Path(os.environ.get(PATH_VARIABLE) or state / "ray-token")


def ensure_token(path: Path) -> None:
    """Set Ray's environment variables to the token in `path`, and make a token there if there is none.

    Ray itself would make one that everyone can read. A token or mode that the user has set in the
    environment stays. Raises MachineError.
    """
    if VALUE_VARIABLE not in os.environ:
        _write_once(path)
    _use(path)


def need_token(path: Path, *, whose: str) -> None:
    """Set Ray's environment variables to the token in `path`, which must be that of `whose`. Raises MachineError."""
    if VALUE_VARIABLE not in os.environ and os.environ.get(MODE_VARIABLE, "token") == "token":
        try:
            token = path.read_bytes().strip()
        except OSError as error:
            raise MachineError(
                f"{path}: there is no token for {whose} ({error.strerror}).",
                cure=f"Copy it from the machine of the head (`joulefleet node up --head` says where it is) to {path}, "
                f"and chmod 600 {path}; or name another file with --token-file or ${PATH_VARIABLE}.",
            ) from error
        if not token:
            raise MachineError(f"{path}: the token is empty.", cure="Copy it again from the machine of the head.")
        _check_mode(path)
    _use(path)


def _use(path: Path) -> None:
    if VALUE_VARIABLE not in os.environ:
        os.environ[PATH_VARIABLE] = str(path)
    os.environ.setdefault(MODE_VARIABLE, "token")


def _check_mode(path: Path) -> None:
    if not path.is_relative_to(MOUNTED) and path.stat().st_mode & 0o077:
        raise MachineError(
            f"{path}: the token can be read by others.", cure=f"chmod 600 {path}, or delete it for a new one."
        )


def _write_once(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        # mkdir raises FileExistsError too, where a file stands in the place of a folder.
        if isinstance(error, FileExistsError) and path.is_file():
            _check_mode(path)
            return
        raise MachineError(
            f"{path}: the token cannot be written ({error.strerror}).",
            cure="Set $JOULEFLEET_STATE to a folder that can be written.",
        ) from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
