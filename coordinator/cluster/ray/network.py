"""Addresses and ports of a head and of this machine."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import socket
import time
from collections.abc import Sequence

from joulefleet.errors import MachineError

AUTO = "auto"
"""Word for the address of this machine on the way to the head, in place of an address to listen on."""

HEAD_WAIT_S = 30.0
"""Time to wait for a head that may start later than this machine, seconds."""

_RETRY_S = 0.5


def host_and_port(address: str) -> tuple[str, int]:
    """Split HOST:PORT. Raises MachineError."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise MachineError(
            f"{address!r} is not the address of a head.",
            cure="Give it as HOST:PORT, as `joulefleet node up` printed it.",
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
                    cure="Start it there with `joulefleet node up --head --listen ADDRESS`; if it runs, check the "
                    "address, the port and the firewall between.",
                ) from error
            time.sleep(_RETRY_S)
        else:
            return


def check_ports(listen: str, ports: Sequence[int]) -> None:
    """Raise MachineError where one of `ports` is in use on this machine, or nothing can listen on it."""
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
    """Return the IP address that `listen` stands for: an address, a name of this machine, or `auto`.

    `join` is the head's HOST:PORT, None on a head. Its name may be resolved only once the head is up: `auto` waits for
    that, at most `wait_s` seconds. Raises MachineError.
    """
    if listen == AUTO and join is not None:
        ends = time.monotonic() + wait_s
        while (own := own_address(join)) is None:
            if time.monotonic() >= ends:
                raise MachineError(
                    f"--listen {AUTO}: there is no way from here to {join}.",
                    cure="Check the head's name or address, and that it is up; or give this machine's own address.",
                )
            time.sleep(_RETRY_S)
        return own
    name = socket.gethostname() if listen == AUTO else listen
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        addresses = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MachineError(
            f"--listen {listen}: {name} has no address ({error.strerror}).",
            cure=f"Give an IP address of this machine, a name of it, or with --join `{AUTO}`.",
        ) from error
    # They come in the system's order of preference.
    return str(addresses[0][4][0])


def own_address(join: str | None) -> str | None:
    """Return the address of this machine on the way to the head; None where there is no way. Sends nothing."""
    if join is None:
        return None
    with contextlib.suppress(OSError):
        family, kind, _, _, head = socket.getaddrinfo(*host_and_port(join), type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind) as datagrams:
            datagrams.connect(head)
            address: str = datagrams.getsockname()[0]
            return address
    return None
