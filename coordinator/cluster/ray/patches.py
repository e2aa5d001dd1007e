"""What Ray has no public switch for. Each is done in the version it was tried with, and nothing in any other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KNOWN_VERSION = "2.60"
"""The version whose private names are changed here. In another one Ray is louder, and open to the network."""


def is_known() -> bool:
    """Whether this Ray is of the version that is known."""
    import ray

    return ray.__version__.startswith(KNOWN_VERSION + ".")


def keep_loopback() -> None:
    """Have Ray take 127.0.0.1 for what it is.

    It puts the machine's outer address in its place, and then listens to everybody. Where a node's
    address is 127.0.0.1, its servers listen there alone.
    """
    if not is_known():
        return
    import ray._private.services

    services: Any = ray._private.services  # noqa: SLF001  # see the module: there is no public switch
    services.resolve_ip_for_localhost = lambda host: host


def keep_quiet() -> None:
    """Have Ray print nothing of its own into the output of a run. What it says of dead workers is in its logs."""
    if not is_known():
        return
    import ray._private.worker

    worker: Any = ray._private.worker  # noqa: SLF001  # see the module: there is no public switch
    worker.print_to_stdstream = lambda *arguments, **keywords: None


@contextmanager
def without_monitors() -> Iterator[None]:
    """Have `ray.init` start neither log monitor nor autoscaler monitor, 0.8 % of a core together.

    `ray start` has switches for them; here private parameters are made with other defaults meanwhile.
    """
    import ray._private.parameter

    parameter: Any = ray._private.parameter  # noqa: SLF001  # see the module: there is no public switch
    original = parameter.RayParams
    if not is_known():
        yield
        return

    def quiet(*args: Any, **kwargs: Any) -> Any:
        return original(*args, **({"include_log_monitor": False, "no_monitor": True} | kwargs))

    parameter.RayParams = quiet
    try:
        yield
    finally:
        parameter.RayParams = original
