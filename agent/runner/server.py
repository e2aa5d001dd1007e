"""A runner: it waits in another environment for the host's agent, and starts fork servers there for it.

The agent sends the socket at which the fork server is to listen, and from then on uses the fork server like one
of its own. The fork server's life is tied to the connection: it ends when the agent closes the connection, and
the connection is closed when it ends.
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

from agent.runner.discovery import ANSWER_S, RunnerDescription, description_json, runner_socket
from agent.runner.protocol import Disconnected, LineSocket, ProtocolError, receive_with_descriptor
from agent.runner.spawn import fork_server_command, fork_server_environment, peer
from joulefleet.errors import BusyError, MachineError


class RunnerService:
    """The runner of one environment. Its owner calls `stop_on` and then `serve`, which returns after a signal.

    It describes itself to agents, and starts fork servers for them. It obeys root and its own user only: who
    sends a request can run models as this user. It waits in select, so it uses no CPU between requests.
    """

    def __init__(self, folder: Path, label: str, describe: Callable[[], RunnerDescription]) -> None:
        """Listen in `folder`. Raises BusyError if `label` has a runner already, MachineError if none can listen."""
        self._describe = describe
        self.path = runner_socket(folder, label)
        self._listener = _listen(self.path)
        self._leases: dict[int, tuple[LineSocket, subprocess.Popen[bytes]]] = {}
        """Connection and fork server, by the descriptor of the connection."""
        self._ended: dict[int, int] = {}
        """Descriptor of the connection, by the descriptor that is readable when its fork server has ended."""
        self._signalled, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)

    def stop_on(self, *numbers: signal.Signals) -> None:
        """Let these signals end `serve`."""
        signal.set_wakeup_fd(self._wakeup)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def serve(self) -> None:
        """Serve until a signal arrives, then end all fork servers and remove the socket."""
        try:
            while True:
                watched = [self._signalled, self._listener.fileno(), *self._leases, *self._ended]
                ready, _, _ = select.select(watched, [], [])
                if self._signalled in ready:
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
        connection.settimeout(ANSWER_S)
        if user not in {0, os.geteuid()}:
            with contextlib.suppress(Disconnected), connection:
                LineSocket(connection).send({"refused": f"it obeys root and user {os.geteuid()}, not user {user}"})
            return
        try:
            request, descriptor, lines = receive_with_descriptor(connection)
        except (Disconnected, ProtocolError, OSError):
            connection.close()
            return
        try:
            self._answer(request, descriptor, lines, connection.fileno())
        except (Disconnected, OSError):
            # For instance too many processes at the moment: the agent will try again.
            lines.close()
        finally:
            os.close(descriptor)

    def _answer(self, request: dict[str, Any], descriptor: int, lines: LineSocket, number: int) -> None:
        if request.get("do") != "fork_server" or not isinstance(request.get("threads"), int):
            lines.send(description_json(self._describe()))
            lines.close()
            return
        process = subprocess.Popen(
            fork_server_command(descriptor),
            env=fork_server_environment(request["threads"]),
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
        for descriptor in [ended for ended, lease in self._ended.items() if lease == number]:
            del self._ended[descriptor]
            os.close(descriptor)
        lines.close()


def _listen(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if _is_served(path):
            raise BusyError(f"another runner serves at {path}.", cure="End it, or give this one another name.")
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(path))
        # Every user may connect; whether its request is obeyed is decided then.
        path.chmod(0o666)
    except OSError as error:
        raise MachineError(
            f"{path}: nothing can listen there ({error.strerror}).",
            cure=f"Give that folder to this user (sudo install -d -m 1777 {path.parent}), or name another one that "
            "agent and runner share in $JOULEFLEET_HOST_FOLDER.",
        ) from error
    listener.listen(8)
    return listener


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as test, contextlib.suppress(OSError):
        test.connect(str(path))
        return True
    return False
