"""Builds both images where no image can be pulled: `python -m tests.containers.offline --out FOLDER`."""

from __future__ import annotations

import argparse
import ast
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from joulefleet import __version__
from tests.containers.engine import Engine, EngineError, engine

ROOT = Path(__file__).parents[2]
BASE = "joulefleet-base:bookworm"
TARGETS = ("agent", "coordinator")
SUITE = "bookworm"
PACKAGES = ("python3", "python3-venv", "ca-certificates")

NOT_WANTED = (
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
)
"""What a Debian of 275 MB has beyond the 131 MB of an image's base; the folders stay, empty."""

TORCH = "torch==2.13.0"
"""Without +cpu: pip takes the CPU build wherever one is in reach, and else what there is."""

CANARY = "joulefleet-build-secret"
"""In the build's secret, so that a test can look for it in the images."""

PLACES = ("index-url", "extra-index-url", "find-links")
MANNERS = ("trusted-host", "default-timeout", "timeout", "retries")
"""Of pip's configuration, what the build gets. Constraints and caches are the machine's own affair."""

OF_THE_SHELL = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""Build arguments that Docker knows without being told, and that leave no trace in the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pip:
    """What the build needs to know of this machine's pip."""

    settings: Mapping[str, str]
    folders: tuple[Path, ...]
    """Of this machine's disk, with wheels in them."""
    certificates: Path | None

    def configuration(self, served: Sequence[str]) -> str:
        """Return a pip.conf for the build, with the addresses of those folders."""
        links = " ".join([*self.settings.get("find-links", "").split(), *served])
        lines = {**self.settings, "find-links": links}
        return "\n".join(
            [f"# {CANARY}", "[global]", *(f"{key} = {value}" for key, value in lines.items() if value), ""]
        )


def pip_of_this_machine(listed: str, environment: Mapping[str, str]) -> Pip:
    """Read the output of `pip config list`: lines of `section.key='value'`. Variables precede files, as in pip."""
    values: dict[str, str] = {}
    for line in listed.splitlines():
        name, _, value = line.partition("=")
        section, _, key = name.rpartition(".")
        if section in {":env:", "install"} or (section == "global" and key not in values):
            values[key] = str(ast.literal_eval(value))
    links = values.get("find-links", "").split()
    local = (Path(link.removeprefix("file://")) for link in links if _is_local(link))
    bundle = values.get("cert") or environment.get("SSL_CERT_FILE")
    return Pip(
        settings={
            key: " ".join(word for word in values[key].split() if key not in PLACES or not _is_local(word))
            for key in (*PLACES, *MANNERS)
            if key in values
        },
        folders=tuple(folder for folder in local if folder.is_dir()),
        certificates=Path(bundle) if bundle and Path(bundle).is_file() else None,
    )


def _is_local(place: str) -> bool:
    """Tell whether an address is a folder of this machine, which the build cannot read."""
    return "://" not in place or place.startswith("file:")


@contextmanager
def served(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Serve folders with wheels on loopback, where a build on the host's network reaches them; give their addresses.

    BuildKit of Docker 20.10 has no named contexts, and a context would hash hundreds of megabytes at each build.
    """
    servers = []
    for folder in folders:
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    try:
        yield [f"http://127.0.0.1:{server.server_address[1]}/" for server in servers]
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        """Nothing: pip says what it fetches."""


def base_image(host: Engine, out: Path) -> None:
    """Make the base image, unless the engine has it. Its tarball is kept in `out`, as debootstrap takes a minute."""
    if host.docker("images", "--quiet", BASE):
        return
    tarball = out / f"{SUITE}.tar"
    if not tarball.exists():
        _debootstrap(tarball)
    _say(["docker", "import", str(tarball), BASE])
    host.docker("import", str(tarball), BASE, timeout_s=300)


def _debootstrap(tarball: Path) -> None:
    if shutil.which("debootstrap") is None:
        raise EngineError("debootstrap is missing here: apt-get install debootstrap")
    if os.geteuid() != 0:
        raise EngineError("debootstrap makes device files, which only root may: run as root")
    tarball.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=tarball.parent) as folder:
        root = Path(folder, "root")
        _run(["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(root)])
        for name in NOT_WANTED:
            for entry in root.joinpath(name).iterdir():
                shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
        whole = Path(folder, "tar")
        _run(["tar", "--numeric-owner", "-C", str(root), "-cf", str(whole), "."])
        whole.rename(tarball)


def build(
    host: Engine,
    *,
    targets: Sequence[str] = TARGETS,
    version: str = __version__,
    source: Path = ROOT,
    show: bool = True,
) -> dict[str, str]:
    """Build the images from the tree `source`; return their names by target. `show` prints the builder's output."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], check=True, text=True, stdout=subprocess.PIPE
    ).stdout
    pip = pip_of_this_machine(listed, os.environ)
    names = {target: f"joulefleet-{target}:{version}" for target in targets}
    with tempfile.TemporaryDirectory() as folder, served(pip.folders) as links:
        configuration = Path(folder, "pip.conf")
        configuration.write_text(pip.configuration(links))
        secrets = [f"--secret=id=pip,src={configuration}"]
        if pip.certificates is not None:
            secrets.append(f"--secret=id=certs,src={pip.certificates}")
        for target, name in names.items():
            build_one(host, target, name, [*secrets, f"--build-arg=VERSION={version}"], source=source, show=show)
    return names


def build_one(host: Engine, target: str, name: str, arguments: Sequence[str], *, source: Path, show: bool) -> None:
    """Build one target of the Dockerfile on top of the base."""
    command = [
        host.client,
        "build",
        "--progress=plain",
        "--network=host",
        f"--file={source / 'docker' / 'Dockerfile'}",
        f"--target={target}",
        f"--build-arg=BASE={BASE}",
        f"--build-arg=TORCH={TORCH}",
        *(f"--build-arg={variable}" for variable in OF_THE_SHELL if variable in os.environ),
        *arguments,
        f"--tag={name}",
        str(source),
    ]
    if show:
        _say(command)
    done = host.run(command, extra={"DOCKER_BUILDKIT": "1"}, show=show)
    if done.returncode:
        raise EngineError(f"the build of {name} failed{'' if show else ': ' + done.stderr[-2000:]}")


def _say(command: Sequence[str]) -> None:
    sys.stderr.write(f"+ {shlex.join(command)}\n")


def _run(command: Sequence[str]) -> None:
    _say(command)
    done = subprocess.run(
        command, check=False, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if done.returncode:
        raise EngineError(f"{command[0]} ended with {done.returncode}: {done.stdout[-2000:]}")


def main() -> int:
    """Return 0 when both images are in the engine."""
    parser = argparse.ArgumentParser(prog="python -m tests.containers.offline", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="keeps the base, and an engine's data where none runs")
    options = parser.parse_args()
    out: Path = options.out
    try:
        with engine(out / "engine") as host:
            base_image(host, out)
            for name in build(host).values():
                size = host.docker("image", "inspect", "--format", "{{.Size}}", name)
                sys.stdout.write(f"{name} {int(size) / 1e6:.0f} MB\n")
    except EngineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
