"""Changes to Ray for which it has no public switch. They are made in the known version of Ray, and in no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KNOWN_VERSION = "2.60"
"""Version whose private names are changed here. In any other, Ray takes more CPU and listens to the whole network."""


def is_known() -> bool:
    """Tell whether the installed Ray is of the known version."""
    import ray

    return ray.__version__.startswith(KNOWN_VERSION + ".")


def keep_loopback() -> None:
    """Have the servers of a node at 127.0.0.1 listen there alone.

    Ray replaces 127.0.0.1 by an address of the machine on the network, and then listens to everybody.
    """
    if not is_known():
        return
    import ray._private.services

    services: Any = ray._private.services  # noqa: SLF001  # see the module: there is no public switch
    services.resolve_ip_for_localhost = lambda host: host


def keep_quiet() -> None:
    """Keep Ray from printing messages about its workers into the output of a run. They are in its logs all the same."""
    if not is_known():
        return
    import ray._private.worker

    worker: Any = ray._private.worker  # noqa: SLF001  # see the module: there is no public switch
    worker.print_to_stdstream = lambda *arguments, **keywords: None


@contextmanager
def without_monitors() -> Iterator[None]:
    """Have `ray.init` start neither log monitor nor autoscaler monitor, which take 0.8 % of a core together.

    `ray start` has switches for them; `ray.init` has none, so its private parameters get other defaults meanwhile.
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
