"""The token that Ray's processes show each other: ours, in a file that only its user can read.

It authenticates; it does not encrypt.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from joulefleet.errors import MachineError

PATH_VARIABLE = "RAY_AUTH_TOKEN_PATH"
MODE_VARIABLE = "RAY_AUTH_MODE"
VALUE_VARIABLE = "RAY_AUTH_TOKEN"


def token_file(state: Path) -> Path:
    """`$RAY_AUTH_TOKEN_PATH`, else a file in the state folder."""
    return Path(os.environ.get(PATH_VARIABLE) or state / "ray-token")


def ensure_token(path: Path) -> None:
    """Set Ray's authentication mode to `token`, with the one in `path`, made there where there is none.

    Left to itself, Ray writes one that everyone can read. A token or mode that the user has set in
    the environment stays. Raises MachineError.
    """
    if VALUE_VARIABLE not in os.environ:
        _write_once(path)
    _use(path)


def need_token(path: Path, *, whose: str) -> None:
    """As `ensure_token`, but makes none: it must be that of `whose`. Raises MachineError."""
    if VALUE_VARIABLE not in os.environ and os.environ.get(MODE_VARIABLE, "token") == "token":
        try:
            found = path.read_bytes().strip()
        except OSError as error:
            raise MachineError(
                f"{path}: there is no token to show to {whose} ({error.strerror}).",
                cure=f"Copy it from the machine of the head (`joulefleet node up --head` says where it is) to {path}, "
                f"and chmod 600 {path}; or name another file with --token-file or ${PATH_VARIABLE}.",
            ) from error
        if not found:
            raise MachineError(f"{path}: the token is empty.", cure="Copy it again from the machine of the head.")
        _check_mode(path)
    _use(path)


def _use(path: Path) -> None:
    if VALUE_VARIABLE not in os.environ:
        os.environ[PATH_VARIABLE] = str(path)
    os.environ.setdefault(MODE_VARIABLE, "token")


MOUNTED = Path("/run/secrets")
"""Where container engines show a container its secrets, with the modes that the files have for users of the host."""


def _check_mode(path: Path) -> None:
    if not path.is_relative_to(MOUNTED) and path.stat().st_mode & 0o077:
        raise MachineError(
            f"{path}: the token can be read by others.", cure=f"chmod 600 {path}, or delete it for a new one."
        )


def _write_once(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        _check_mode(path)
        return
    except OSError as error:
        raise MachineError(
            f"{path}: the token cannot be written ({error.strerror}).",
            cure="Name a folder that can be written in $JOULEFLEET_STATE.",
        ) from error
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(32))
