"""The runner's host: imports torch once, then forks a fresh process for every request.

Started by the agent as `python -m agent.runner.forkserver --listen-fd N`. It has no threads of its own
at a fork, costs nothing while it waits (it sleeps in accept, or in wait), and dies with the agent.
Why not multiprocessing's forkserver: docs/decisions/0003-fork-server.md.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import re
import signal
import socket
import sys
from typing import Any

from agent.runner.privileges import die_with_parent, ignore_interrupts
from agent.runner.protocol import Disconnected, LineSocket, Stranger, receive_with_descriptor

PRELOAD = ("torch", "transformers", "transformers.models.auto.modeling_auto", "agent.runner.worker")


def main(argv: list[str] | None = None) -> int:
    """Serve requests until the agent goes away."""
    parser = argparse.ArgumentParser(prog="python -m agent.runner.forkserver", description=__doc__)
    parser.add_argument("--listen-fd", type=int, required=True, help="a listening Unix socket, inherited")
    arguments = parser.parse_args(argv)
    die_with_parent()
    ignore_interrupts()
    listener = socket.socket(fileno=arguments.listen_fd)
    for module in PRELOAD:
        importlib.import_module(module)
    # What is here now stays for good: no collection in a child walks over it, and no page of it is copied for that.
    gc.collect()
    gc.freeze()
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(Disconnected, Stranger):
            serve(connection, listener)


def serve(connection: socket.socket, listener: socket.socket) -> None:
    """Answer one request with a process of its own, and say how it ended."""
    request, output, lines = receive_with_descriptor(connection)
    if request.get("do") == "ready":
        os.close(output)
        _import_model_code(request)
        lines.send({"mark": "ready"})
        return
    try:
        pid = os.fork()
        if pid == 0:
            _become_child(request, output, lines, listener)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(output)
    lines.send({"mark": "exit", "returncode": os.waitstatus_to_exitcode(status)})


def _become_child(request: dict[str, Any], output: int, lines: LineSocket, listener: socket.socket) -> None:
    code = 1
    try:
        die_with_parent()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        listener.close()
        os.dup2(output, 1)
        os.dup2(output, 2)
        from agent.runner.worker import run

        code = run(request, lines)
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Not sys.exit: the host's own clean-up belongs to the host.
        os._exit(code)


def _import_model_code(request: dict[str, Any]) -> None:
    """Import the model's code once, in the host: an import is no part of a trial."""
    kind = str(request.get("model_type", "")).replace("-", "_")
    if re.fullmatch(r"[a-z0-9_]+", kind):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    with contextlib.suppress(ImportError, AttributeError):
        # A table of a thousand regular expressions that transformers makes at a process's first load.
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
