"""The container images: size, rebuild after a change of a source file, start of an agent, and its cost at rest.

Uses Docker where it runs; otherwise, as root, starts a daemon of its own. The images are built on a base of
debootstrap (tests/containers/offline.py), which needs no registry of images. `--out` keeps all of that for the
next run. The peers: a build in which nothing has changed, and an import of Ray in a container of the same image.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.figures import Figure, ratio
from benchmarks.harness.program import BenchmarkRun, run_program
from benchmarks.harness.studies import pinned_study
from tests.containers.engine import Engine, EngineError, engine
from tests.containers.offline import ROOT, base_image, build

IMAGE_GB = 1.4
OWN_FILES_MB = 5.0
REBUILD_TIMES = 10.0
"""A rebuild after a change of one file, in multiples of a build without a change."""
READY_TIMES = 4.0
"""The start of a head and an agent, in multiples of a container that only imports Ray."""
REST_PERCENT = 0.7

REPEATS = 3
SETTLE_S = 30.0
WINDOW_S = 60.0
LONGEST_START_S = 120.0
LONGEST_RUN_S = 600.0

LAYERS = {
    "torch": '"${TORCH}"',
    "Ray": "constraints.txt ray ",
    "the other libraries": "--requirement /tmp/agent.txt",
    "Joulefleet": "--no-index --no-deps",
    "user and folders": "groupadd",
}
"""Names of layers, each with a word of the command that made it. A layer without any of them is the base."""

CHANGED = "agent/trial/measure.py"
TREE = ("agent", "coordinator", "joulefleet", "docker", "pyproject.toml", "constraints.txt", "README.md", "LICENSE")

SMALL = (
    "{architecture: {model_type: bert, config: {vocab_size: 100, hidden_size: 16, num_hidden_layers: 1,"
    " num_attention_heads: 1, intermediate_size: 16, max_position_embeddings: 64}}}"
)
STUDY = f"""
name: rest
regime: burst
repetitions: 1
models: {{teacher: {SMALL}, student: {SMALL}}}
tasks: {{sst2: {{preset: sst2, items: {{synthetic: {{count: 4}}}}}}}}
pairs: {{small: {{teacher: teacher, student: student}}}}
measure: {{cool_down: {{fixed_s: 0, at_most_s: 0}}}}
"""
"""A run of two short trials."""

HARDENED = ("--init", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--shm-size=256m")


def layers_mb(host: Engine, image: str) -> dict[str, float]:
    """Return the size of each layer by its name above, decimal megabytes."""
    sizes = dict.fromkeys(["base", *LAYERS], 0.0)
    for line in host.docker(
        "history", "--no-trunc", "--human=false", "--format={{.Size}}\t{{.CreatedBy}}", image
    ).splitlines():
        size, _, made_by = line.partition("\t")
        name = next((name for name, word in LAYERS.items() if made_by.startswith("RUN") and word in made_by), "base")
        sizes[name] += int(size) / 1e6
    return sizes


def rebuild_s(host: Engine) -> tuple[list[float], list[float]]:
    """Build the agent's image from a copy of the tree, in turn without a change and after one of one file.

    Returns the seconds of the rebuilds after a change, and of those without.
    """
    changed, unchanged = [], []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in TREE:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(source, copy / name)
        _build_s(host, copy)
        for _ in range(REPEATS):
            unchanged.append(_build_s(host, copy))
            with (copy / CHANGED).open("a", encoding="utf-8") as file:
                file.write(f"\n# {secrets.token_hex(8)}\n")
            changed.append(_build_s(host, copy))
    return changed, unchanged


def _build_s(host: Engine, source: Path) -> float:
    start = time.perf_counter()
    build(host, targets=("agent",), version="bench", source=source, show=False)
    return time.perf_counter() - start


class Pair:
    """A head and an agent on a network of their own, as compose.yaml describes them."""

    def __init__(self, host: Engine, images: dict[str, str], folder: Path) -> None:
        self.host = host
        self.images = images
        self.name = f"joulefleet-bench-{secrets.token_hex(4)}"
        self.folder = folder
        for file, text in (
            ("token", secrets.token_hex(32)),
            ("machine-id", secrets.token_hex(16)),
            ("study.yaml", STUDY),
        ):
            (folder / file).write_text(f"{text}\n")
            (folder / file).chmod(0o444)
        folder.chmod(0o755)
        (folder / "host").mkdir()

    def run(self, role: str, image: str, arguments: list[str], *command: str) -> None:
        """Start one container."""
        name = f"{self.name}-{role}"
        self.host.docker(
            "run", "--detach", *HARDENED, "--tmpfs=/tmp", f"--name={name}", f"--network={self.name}",
            f"--volume={name}:/var/lib/joulefleet", f"--volume={self.folder}/token:/run/secrets/token:ro",
            *arguments, self.images[image], *command,
        )  # fmt: skip

    def up(self) -> None:
        """Start both; return once the agent prints that it is up."""
        self.run(
            "head", "coordinator", ["--network-alias=head"], "node", "up", "--head", "--listen=head", "--foreground"
        )
        mounts = [
            f"--volume={self.folder}/machine-id:/host/machine-id:ro",
            f"--volume={self.folder}/host:/run/joulefleet",
            f"--volume={self.name}-cache:/var/cache/joulefleet",
        ]
        up = ("node", "up", "--join=head:6379", "--listen=auto", "--foreground")
        self.run("agent", "agent", ["--user=0:0", *mounts], *up)
        self.wait_for("agent", " is up", LONGEST_START_S)

    def wait_for(self, role: str, text: str, at_most_s: float) -> None:
        """Return once the container has printed `text`. Raises EngineError where it does not in time."""
        until = time.monotonic() + at_most_s
        while text not in (printed := self.output(role)):
            if time.monotonic() > until:
                raise EngineError(f"the {role} did not print {text!r}; it printed:\n{printed}")
            time.sleep(0.1)

    def output(self, role: str) -> str:
        """Return what the container has printed so far."""
        done = self.host.run([self.host.client, "logs", f"{self.name}-{role}"])
        return done.stdout + done.stderr

    def cpu_s(self, role: str) -> float:
        """Return the CPU seconds of the container's control group, health checks included.

        Read from cpuacct, or from cpu.stat of cgroup version 2.
        """
        container = self.host.docker("inspect", "--format={{.State.Pid}}", f"{self.name}-{role}")
        for line in Path(f"/proc/{container}/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if "cpuacct" in controllers.split(","):
                mounted = Path("/sys/fs/cgroup", "cpuacct")
                return int(Path(f"{mounted}{path}", "cpuacct.usage").read_text(encoding="utf-8")) / 1e9
            if not controllers and (stat := Path(f"/sys/fs/cgroup{path}", "cpu.stat")).exists():
                return int(stat.read_text(encoding="utf-8").split()[1]) / 1e6
        raise EngineError("no control group of the container was found")

    def percent(self, role: str) -> float:
        """Return the CPU use of the container over one window, percent of one core."""
        start, before = time.monotonic(), self.cpu_s(role)
        time.sleep(WINDOW_S)
        return 100 * (self.cpu_s(role) - before) / (time.monotonic() - start)


@contextmanager
def pair(host: Engine, images: dict[str, str]) -> Iterator[Pair]:
    """Prepare a head and an agent to be started; remove both, with their volumes and network, at the end."""
    with tempfile.TemporaryDirectory() as folder:
        made = Pair(host, images, Path(folder))
        host.docker("network", "create", "--internal", made.name)
        try:
            yield made
        finally:
            by_name = ("--quiet", f"--filter=name={made.name}")
            for container in host.docker("ps", "--all", *by_name).split():
                host.docker("rm", "--force", container)
            for volume in host.docker("volume", "ls", *by_name).split():
                host.docker("volume", "rm", volume)
            host.docker("network", "rm", made.name)


def ready_s(host: Engine, images: dict[str, str]) -> tuple[list[float], list[float]]:
    """Start a head and an agent, in turn with a container that imports Ray.

    Returns the seconds from the first `docker run` until the agent is up, and those of the import.
    """
    starts, imports = [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        host.docker("run", "--rm", "--entrypoint=python", images["agent"], "-c", "import ray")
        imports.append(time.perf_counter() - start)
        with pair(host, images) as fleet:
            start = time.perf_counter()
            fleet.up()
            starts.append(time.perf_counter() - start)
    return starts, imports


def rest_percent(host: Engine, images: dict[str, str]) -> tuple[float, float]:
    """Return the CPU use of an agent's container before its first run and after it, percent of one core."""
    with pair(host, images) as fleet:
        fleet.up()
        time.sleep(SETTLE_S)
        before = fleet.percent("agent")
        study = [f"--volume={fleet.folder}/study.yaml:/study.yaml:ro", f"--volume={fleet.name}-results:/results"]
        fleet.run("run", "coordinator", study, "run", "/study.yaml", "--address=head:6379", "--listen=auto")
        fleet.wait_for("run", "Next: joulefleet compare", LONGEST_RUN_S)
        time.sleep(SETTLE_S)
        after = fleet.percent("agent")
    return before, after


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of this program."""
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir(), "joulefleet-images"))


def benchmark(run: BenchmarkRun) -> list[Figure]:
    """Build, start and watch; some ten minutes, and as many more where nothing is built yet."""
    if run.leaves_out("images and containers: they need a container engine; the study and the tree are checked"):
        if missing := [name for name in (*TREE, CHANGED) if not (ROOT / name).exists()]:
            raise SystemExit(f"the tree has no {', '.join(missing)}")
        pinned_study(STUDY, "rest", ROOT)
        return []
    out: Path = run.options.out
    try:
        with engine(out / "engine") as host:
            base_image(host, out)
            images = build(host, show=False)
            size_mb = int(host.docker("image", "inspect", "--format={{.Size}}", images["agent"])) / 1e6
            layers = layers_mb(host, images["agent"])
            rebuilds, unchanged = rebuild_s(host)
            starts, imports = ready_s(host, images)
            before, after = rest_percent(host, images)
    except EngineError as error:
        raise SystemExit(str(error)) from error
    for name, size in layers.items():
        print(f"  {size:8.1f} MB  {name}", file=sys.stderr)
    print(f"  rebuilds {', '.join(f'{took:.1f}' for took in rebuilds)} s", file=sys.stderr)
    print(f"  starts {', '.join(f'{took:.1f}' for took in starts)} s", file=sys.stderr)
    own_mb = layers["Joulefleet"] + layers["user and folders"]
    return [
        Figure(benchmark="image_agent", value=size_mb / 1e3, unit="GB", bound=IMAGE_GB),
        Figure(
            benchmark="image_agent_own_files",
            value=own_mb,
            unit="MB",
            bound=OWN_FILES_MB,
            peers={"the other libraries without torch and Ray": layers["the other libraries"]},
        ),
        ratio(
            "image_rebuild",
            statistics.median(rebuilds),
            statistics.median(unchanged),
            peer="a build without a change",
            unit="s",
            bound=REBUILD_TIMES,
        ),
        ratio(
            "container_ready",
            statistics.median(starts),
            statistics.median(imports),
            peer="a container that imports Ray",
            unit="s",
            bound=READY_TIMES,
        ),
        Figure(
            benchmark="container_between_runs",
            value=after,
            unit="% of a core",
            bound=REST_PERCENT,
            peers={"before the first run": before},
        ),
    ]


if __name__ == "__main__":
    sys.exit(run_program(__doc__, benchmark, add_options=add_options))
