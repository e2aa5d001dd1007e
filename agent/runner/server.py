"""A runner: waits in an environment for the host's agent, and starts there the hosts that it asks for.

The agent sends the socket at which the host is to listen, so from then on it speaks with the host as with
one of its own. The connection is the host's lease: when either side closes it, the host has ended or ends.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.runner.discovery import ANSWER_S, Described, described_json, runner_socket
from agent.runner.protocol import Disconnected, LineSocket, Stranger, receive_with_descriptor
from agent.runner.spawn import host_command, host_environment, peer
from joulefleet.errors import BusyError, MachineError


class RunnerService:
    """One runner. `serve` waits in poll: it costs nothing while nobody asks."""

    def __init__(self, folder: Path, label: str, describe: Callable[[], Described]) -> None:
        """Listen in `folder`. Raises BusyError where another one serves there, MachineError where nobody can."""
        self._describe = describe
        self.path = runner_socket(folder, label)
        self._listener = _listen(self.path)
        self._leases: dict[int, tuple[LineSocket, subprocess.Popen[bytes]]] = {}
        """By the descriptor of the connection."""
        self._ended: dict[int, int] = {}
        """By the descriptor that tells of a host's end: its connection's."""
        self._asked, self._ask = os.pipe()
        os.set_blocking(self._ask, False)

    def stop_on(self, *numbers: signal.Signals) -> None:
        """End `serve` on these signals."""
        signal.set_wakeup_fd(self._ask)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def serve(self) -> None:
        """Serve until a signal ends it; whatever it has started ends then."""
        try:
            while True:
                watched = [self._asked, self._listener.fileno(), *self._leases, *self._ended]
                ready, _, _ = select.select(watched, [], [])
                if self._asked in ready:
                    return
                for descriptor in ready:
                    if descriptor == self._listener.fileno():
                        self._accept()
                    elif descriptor in self._ended:
                        self._end(self._ended[descriptor])
                    elif descriptor in self._leases:
                        self._end(descriptor)
        finally:
            for descriptor in list(self._leases):
                self._end(descriptor)
            self.path.unlink(missing_ok=True)
            self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        _, user = peer(connection)
        # Whoever asks can have models run as this user: root may, and the user itself.
        connection.settimeout(ANSWER_S)
        if user not in {0, os.geteuid()}:
            with contextlib.suppress(Disconnected), connection:
                LineSocket(connection).send({"refused": f"it obeys root and user {os.geteuid()}, not user {user}"})
            return
        try:
            request, descriptor, lines = receive_with_descriptor(connection)
        except (Disconnected, Stranger, OSError):
            connection.close()
            return
        try:
            self._answer(request, descriptor, lines, connection.fileno())
        except (Disconnected, OSError):
            # No process more for now, say: the agent asks again.
            lines.close()
        finally:
            os.close(descriptor)

    def _answer(self, request: dict[str, Any], descriptor: int, lines: LineSocket, number: int) -> None:
        if request.get("do") != "host" or not isinstance(request.get("threads"), int):
            lines.send(described_json(self._describe()))
            lines.close()
            return
        process = subprocess.Popen(
            host_command(descriptor),
            env=host_environment(request["threads"]),
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
        )
        try:
            ended = os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            process.wait()
            raise
        self._leases[number] = (lines, process)
        self._ended[ended] = number

    def _end(self, number: int) -> None:
        lines, process = self._leases.pop(number)
        process.kill()
        process.wait()
        for descriptor in [ended for ended, of in self._ended.items() if of == number]:
            del self._ended[descriptor]
            os.close(descriptor)
        lines.close()


def _listen(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _somebody_serves(path):
            raise BusyError(f"another runner serves at {path}.", cure="End it, or give this one another name.")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        # Anybody may connect; who may ask is looked at then.
        path.chmod(0o666)
    except OSError as error:
        raise MachineError(
            f"{path}: nothing can listen there ({error.strerror}).",
            cure=f"Give that folder to this user (sudo install -d -m 1777 {path.parent}), or name another one that "
            "agent and runner share in $JOULEFLEET_HOST_FOLDER.",
        ) from error
    listener.listen(8)
    return listener


def _somebody_serves(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as test, contextlib.suppress(OSError):
        test.connect(str(path))
        return True
    return False
