"""Machines with addresses of their own: network namespaces on one switch, whose cables can be unplugged."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

CURE = (
    "tests of a network need root, iproute2 and nsenter: run them as root, with `apt-get install iproute2 util-linux`"
)


@dataclass(slots=True, kw_only=True)
class Plug:
    """A machine's connection to a network."""

    space: str
    """Name of the machine's network namespace."""
    cable: str
    """Name of the switch's end of its cable."""
    address: str

    @property
    def inside(self) -> list[str]:
        """Command line that runs a command on the machine. Only the network is its own; the files are the host's."""
        return ["nsenter", f"--net=/run/netns/{self.space}", "--"]


@dataclass(slots=True, kw_only=True)
class Network:
    """The network 192.0.2.0/24: a switch and its machines. Nothing goes in or out."""

    name: str = field(default_factory=lambda: f"jf{secrets.token_hex(3)}")
    _stack: ExitStack = field(default_factory=ExitStack)
    _given: int = 0

    def machine(self) -> Plug:
        """Plug in another machine."""
        number = self._given + 1
        plug = Plug(space=f"{self.name}-{number}", cable=f"port{number}", address="")
        self._space(plug.space)
        _ip("link", "add", plug.cable, "netns", self.name, "type", "veth", "peer", "eth0", "netns", plug.space)
        _ip("-n", self.name, "link", "set", plug.cable, "master", "switch", "up")
        _ip("-n", plug.space, "link", "set", "lo", "up")
        _ip("-n", plug.space, "link", "set", "eth0", "up")
        self.renumber(plug)
        return plug

    def renumber(self, plug: Plug) -> None:
        """Give the machine an address that nobody had before."""
        self._given += 1
        plug.address = f"192.0.2.{self._given}"
        _ip("-n", plug.space, "address", "flush", "dev", "eth0")
        _ip("-n", plug.space, "address", "add", f"{plug.address}/24", "dev", "eth0")

    def nowhere(self, plug: Plug) -> str:
        """Return an address that nobody has. What `plug` sends to it is lost without an error."""
        self._given += 1
        address = f"192.0.2.{self._given}"
        _ip("-n", plug.space, "neighbor", "add", address, "lladdr", "02:00:00:00:00:00", "dev", "eth0")
        return address

    def cut(self, plug: Plug) -> None:
        """Unplug the machine: nothing is refused, and nothing arrives."""
        _ip("-n", self.name, "link", "set", plug.cable, "nomaster")

    def plug_in(self, plug: Plug) -> None:
        """Plug the machine in again."""
        _ip("-n", self.name, "link", "set", plug.cable, "master", "switch")

    def _space(self, name: str) -> None:
        _ip("netns", "add", name)
        self._stack.callback(_ip, "netns", "delete", name)

    def open(self) -> None:
        """Set up the switch."""
        self._space(self.name)
        _ip("-n", self.name, "link", "add", "switch", "type", "bridge", "forward_delay", "0")
        _ip("-n", self.name, "link", "set", "switch", "up")

    def close(self) -> None:
        """Remove the network. The caller must have ended the processes in it."""
        self._stack.close()


@contextmanager
def network() -> Iterator[Network]:
    """Give a network, and remove it at the end. Raises RuntimeError where tools or rights are missing."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        raise RuntimeError(CURE)
    made = Network()
    try:
        made.open()
        yield made
    finally:
        made.close()


@contextmanager
def listening() -> Iterator[str]:
    """Give the HOST:PORT of a socket that listens on this machine and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def _ip(*arguments: str) -> None:
    done = subprocess.run([shutil.which("ip") or "ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}. {CURE}")
