"""Opening the sensor of the library pyRAPL without output, and explaining why it cannot be opened.

pyRAPL reads packages and their memory, and only in /sys. It looks at the folders from intel-rapl:0 up
to the first number that does not exist, and raises unless it finds one package for each socket. Each
of these limits becomes a `Missing` with a cure.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Protocol

from agent.sensors.base import Missing
from agent.sensors.rapl.discovery import why_none
from agent.sensors.rapl.domains import Domain

USE_POWERCAP = "Leave the study's energy_source at powercap, which reads these counters."

_SYSFS = Path("/sys")
_WHAT = "energy (RAPL) by pyRAPL"
_PERMISSION_CURE = "Run the agent as root, or give its user read access to the energy_uj files."


class _DeviceApi(Protocol):
    """pyRAPL's packages, or its memory: the sockets, and the counter of each, which stays open."""

    @property
    def _socket_ids(self) -> Sequence[int]: ...

    @property
    def _sys_files(self) -> Sequence[IO[str]]: ...


class PyraplLibrary(Protocol):
    """`pyRAPL.Sensor`."""

    @property
    def _device_api(self) -> Mapping[int, _DeviceApi]: ...

    def energy(self) -> Sequence[float]:
        """Return the microjoules of package and memory of each socket in turn; -1 where there is no counter."""
        ...


def open_library(sysfs_root: Path, proc_root: Path, domains: Sequence[Domain]) -> PyraplLibrary | Missing:
    """Return the sensor of pyRAPL after a first read, or why there is none."""
    if sysfs_root != _SYSFS:
        message = f"pyRAPL reads only /sys, and this agent reads {sysfs_root}"
        return Missing(what=_WHAT, why="absent", message=message, cure="Mount the machine's sysfs at /sys.")
    if not domains:
        return replace(why_none(sysfs_root, proc_root), what=_WHAT)
    try:
        pyrapl = import_pyrapl()
    except ImportError as error:
        message = f"pyRAPL cannot be imported: {error}"
        return Missing(what=_WHAT, why="absent", message=message, cure="Install it: pip install 'joulefleet[agent]'")
    with warnings.catch_warnings():
        # pyRAPL does not close the files that it reads once.
        warnings.simplefilter("ignore", ResourceWarning)
        try:
            library: PyraplLibrary = pyrapl.Sensor()
            _try(library)
        except Exception as error:  # noqa: BLE001 - the kind of its error depends on its parsing of /sys; each is explained
            return _explained(error, domains)
    return library


def files_of(library: PyraplLibrary) -> list[tuple[int, IO[str]]]:
    """Return each file that pyRAPL keeps open, with the index of its value in the list of `energy`."""
    return [
        (2 * socket + device, file)
        for device, api in library._device_api.items()  # noqa: SLF001 - it has no public way to close them
        for socket, file in zip(api._socket_ids, api._sys_files, strict=True)  # noqa: SLF001 - as above
    ]


def close_library(library: PyraplLibrary) -> None:
    """Close the files that pyRAPL leaves open."""
    for _, file in files_of(library):
        file.close()


def import_pyrapl() -> Any:
    """Import pyRAPL without its warnings and return the module. Raises ImportError."""
    with warnings.catch_warnings(), _silent_root_logger():
        # Its sources hold '\d' in plain strings: a SyntaxWarning, up to Python 3.11 a DeprecationWarning.
        warnings.filterwarnings("ignore", message=r".*invalid escape sequence")
        import pyRAPL
    return pyRAPL


@contextmanager
def _silent_root_logger() -> Iterator[None]:
    """Drop what is logged to the root logger itself: pyRAPL's import warns that pymongo is missing."""
    root, handler = logging.getLogger(), logging.NullHandler()

    def drop(record: logging.LogRecord) -> bool:
        return False

    # Without any handler, logging.warning() adds one for stderr that stays.
    root.addHandler(handler)
    root.addFilter(drop)
    try:
        yield
    finally:
        root.removeFilter(drop)
        root.removeHandler(handler)


def _try(library: PyraplLibrary) -> None:
    try:
        library.energy()
    except Exception:
        close_library(library)
        raise


def _explained(error: Exception, domains: Iterable[Domain]) -> Missing:
    if isinstance(error, PermissionError):
        message = f"pyRAPL may not read {error.filename}"
        return Missing(what=_WHAT, why="not_permitted", message=message, cure=_PERMISSION_CURE)
    if isinstance(error, FileNotFoundError) and "/cpu/" in str(error.filename):
        message = f"pyRAPL needs {error.filename}, which a CPU that is offline does not have"
        return Missing(what=_WHAT, why="unreadable", message=message, cure="Bring every CPU online.")
    if type(error).__name__ != "PyRAPLCantRecordEnergyConsumption":
        # The error quotes the file, which may hold any bytes.
        message = f"pyRAPL cannot read the counters: {type(error).__name__}: {str(error)[:200]!r}"
    elif any("-die-" in domain.channel for domain in domains):
        message = "pyRAPL needs one counter for each socket, and here each die has one"
    else:
        message = (
            "pyRAPL did not find one package for each socket: it stops at the first gap in the numbers of intel-rapl:N"
        )
    return Missing(what=_WHAT, why="unreadable", message=message, cure=USE_POWERCAP)
