"""The fork server: imports torch once, then forks a fresh process for every request.

The agent, or the runner of another environment, starts it as `python -m agent.runner.forkserver --listen-fd N`
with a listening socket, connects once for each request (`agent.runner.protocol`), and kills it in the end. It
serves one request at a time: "ready" imports the model's code, any other forks a process for
`agent.runner.worker`. It has no threads at a fork, uses no CPU while it waits (in accept or wait), and is killed
by the kernel when its parent dies. Why not multiprocessing's forkserver: docs/decisions/0003-fork-server.md.
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
from agent.runner.protocol import Disconnected, LineSocket, ProtocolError, receive_with_descriptor

PRELOAD = ("torch", "transformers", "transformers.models.auto.modeling_auto", "agent.runner.worker")
"""Modules that are imported before the first fork, so that no process of a trial has to."""


def main(argv: list[str] | None = None) -> int:
    """Serve requests until the process is killed."""
    parser = argparse.ArgumentParser(prog="python -m agent.runner.forkserver", description=__doc__)
    parser.add_argument("--listen-fd", type=int, required=True, help="a listening Unix socket, inherited")
    arguments = parser.parse_args(argv)
    die_with_parent()
    ignore_interrupts()
    listener = socket.socket(fileno=arguments.listen_fd)
    for module in PRELOAD:
        importlib.import_module(module)
    # Frozen objects are skipped by the garbage collection of the children, so their pages are not copied.
    gc.collect()
    gc.freeze()
    while True:
        connection, _ = listener.accept()
        with connection, contextlib.suppress(Disconnected, ProtocolError):
            serve(connection, listener)


def serve(connection: socket.socket, listener: socket.socket) -> None:
    """Answer one request in a process of its own, and send its return code. Raises Disconnected and ProtocolError."""
    request, output, lines = receive_with_descriptor(connection)
    if request.get("do") == "ready":
        os.close(output)
        _import_model_code(request)
        lines.send({"mark": "ready"})
        return
    try:
        pid = os.fork()
        if pid == 0:
            _work(request, output, lines, listener)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(output)
    lines.send({"mark": "exit", "returncode": os.waitstatus_to_exitcode(status)})


def _work(request: dict[str, Any], output: int, lines: LineSocket, listener: socket.socket) -> None:
    """Do the work of `request` in the forked process, and end it."""
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
        # Not sys.exit: the handlers that clean up belong to the fork server.
        os._exit(code)


def _import_model_code(request: dict[str, Any]) -> None:
    """Import the model's code once, in the fork server: an import is no part of a trial."""
    kind = str(request.get("model_type", "")).replace("-", "_")
    if re.fullmatch(r"[a-z0-9_]+", kind):
        with contextlib.suppress(ImportError):
            importlib.import_module(f"transformers.models.{kind}.modeling_{kind}")
    with contextlib.suppress(ImportError, AttributeError):
        # transformers compiles a thousand regular expressions at the first load in a process.
        from transformers.conversion_mapping import get_checkpoint_conversion_mapping

        get_checkpoint_conversion_mapping("bert")
    gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
