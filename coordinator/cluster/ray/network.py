"""Addresses and ports: of a head, and of this machine."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import time
from collections.abc import Sequence

from joulefleet.errors import MachineError

AUTO = "auto"
"""In place of an address to listen on: that of this machine on the way to the head."""

HEAD_WAIT_S = 30.0
"""Machines that start together need not start in order."""

_RETRY_S = 0.5


def host_and_port(address: str) -> tuple[str, int]:
    """HOST:PORT in two parts. Raises MachineError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise MachineError(
            f"{address!r} is no address of a head.", cure="Give it as HOST:PORT, as `node up` printed it."
        )
    return host.strip("[]"), int(port)


def wait_for_head(address: str, *, wait_s: float) -> None:
    """Return once something listens at `address`; wait at most `wait_s` for it. Raises MachineError."""
    host, port = host_and_port(address)
    ends = time.monotonic() + wait_s
    while True:
        try:
            socket.create_connection((host, port), timeout=max(1.0, min(5.0, wait_s))).close()
        except OSError as error:
            if time.monotonic() >= ends:
                raise MachineError(
                    f"no head answers at {address} ({error.strerror or error}).",
                    cure="Start it there with `joulefleet node up --head --listen ADDRESS`; if it runs, look at the "
                    "address, the port and the firewall between.",
                ) from error
            time.sleep(_RETRY_S)
        else:
            return


def check_ports(listen: str, ports: Sequence[int]) -> None:
    """Raise MachineError where a port of this machine is in use, or cannot be listened on."""
    for port in ports:
        with socket.socket(socket.AF_INET6 if ":" in listen else socket.AF_INET) as test:
            test.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                test.bind((listen, port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    raise MachineError(
                        f"port {port} is in use on this machine.",
                        cure=f"End what uses it (ss -ltnp | grep {port}), or move all with --port-base.",
                    ) from error
                raise MachineError(
                    f"{listen} port {port}: nothing can listen there ({error.strerror}).",
                    cure="--listen takes an address of this machine, --port-base ports above 1023.",
                ) from error


def address_to_listen_on(listen: str, join: str | None, *, wait_s: float) -> str:
    """The IP address that `listen` means: one, a name of this machine, or `auto`.

    The head's name may come to be known only when the head is there: that is waited for, at most `wait_s`
    seconds. Raises MachineError.
    """
    if listen == AUTO and join is not None:
        ends = time.monotonic() + wait_s
        while (found := own_address(join)) is None:
            if time.monotonic() >= ends:
                raise MachineError(
                    f"--listen {AUTO}: there is no way from here to {join}.",
                    cure="Look at the head's name or address, and that it is up; or give this machine's own address.",
                )
            time.sleep(_RETRY_S)
        return found
    name = socket.gethostname() if listen == AUTO else listen
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        places = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MachineError(
            f"--listen {listen}: {name} has no address ({error.strerror}).",
            cure=f"Give an IP address of this machine, a name of it, or with --join `{AUTO}`.",
        ) from error
    # The first one: the system's own order of preference.
    return str(places[0][4][0])


def own_address(join: str | None) -> str | None:
    """The address of this machine on the way to the head; None where there is no way. Sends nothing."""
    if join is None:
        return None
    with contextlib.suppress(OSError):
        family, kind, _, _, place = socket.getaddrinfo(*host_and_port(join), type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as way:
            way.connect(place)
            address: str = way.getsockname()[0]
            return address
    return None
