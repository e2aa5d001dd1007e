"""The images: their size, a rebuild after a change of a source file, an agent's start, and what it costs at rest.

Docker where it runs; else, as root, a daemon of its own. The images are built with a base of debootstrap
(tests/containers/offline.py), which needs no registry of images. `--out` keeps all that for the next time.
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

from benchmarks.harness.reporting import Figure, finish
from tests.containers.engine import Engine, EngineError, engine
from tests.containers.offline import ROOT, base_image, build

BOUND_IMAGE_GB = 1.6
BOUND_OWN_MB = 80.0
BOUND_REBUILD_S = 10.0
BOUND_READY_S = 10.0
BOUND_REST_PERCENT = 1.0

REPEATS = 3
SETTLE_S = 30.0
WINDOW_S = 60.0
LONGEST_START_S = 120.0
LONGEST_TRIAL_S = 300.0

LAYERS = {
    "torch": '"${TORCH}"',
    "Ray": "constraints.txt ray ",
    "the other libraries": "--requirement /tmp/agent.txt",
    "Joulefleet": "--no-index --no-deps",
    "user and folders": "groupadd",
}
"""By a word of the command that made it; what has none of them is the base."""

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
measure: {{cool_down: {{fixed_s: 240}}}}
"""
"""Trials of no time with a long rest after each."""

HARDENED = ("--init", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--shm-size=256m")


def layers_mb(host: Engine, image: str) -> dict[str, float]:
    """The layers by their names above, decimal megabytes."""
    found = dict.fromkeys(["base", *LAYERS], 0.0)
    for line in host.docker(
        "history", "--no-trunc", "--human=false", "--format={{.Size}}\t{{.CreatedBy}}", image
    ).splitlines():
        size, _, made_by = line.partition("\t")
        name = next((name for name, word in LAYERS.items() if made_by.startswith("RUN") and word in made_by), "base")
        found[name] += int(size) / 1e6
    return found


def rebuild_s(host: Engine) -> list[float]:
    """How long the agent's image takes after each of some changes of one file, in a copy of the tree."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in TREE:
            of = ROOT / name
            if of.is_dir():
                shutil.copytree(of, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(of, copy / name)
        for _ in range(REPEATS):
            with (copy / CHANGED).open("a", encoding="utf-8") as file:
                file.write(f"\n# {secrets.token_hex(8)}\n")
            start = time.perf_counter()
            build(host, targets=("agent",), version="bench", source=copy, show=False)
            times.append(time.perf_counter() - start)
    return times


class Pair:
    """A head and an agent on a network of their own, as compose.yaml has them."""

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
        """One container."""
        name = f"{self.name}-{role}"
        self.host.docker(
            "run", "--detach", *HARDENED, "--tmpfs=/tmp", f"--name={name}", f"--network={self.name}",
            f"--volume={name}:/var/lib/joulefleet", f"--volume={self.folder}/token:/run/secrets/token:ro",
            *arguments, self.images[image], *command,
        )  # fmt: skip

    def up(self) -> None:
        """Both, until the agent says that it is up."""
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
        """Until the container says it."""
        until = time.monotonic() + at_most_s
        while text not in (said := self.said(role)):
            if time.monotonic() > until:
                raise EngineError(f"the {role} did not say {text!r}; it said:\n{said}")
            time.sleep(0.1)

    def said(self, role: str) -> str:
        """What the container printed."""
        done = self.host.run([self.host.client, "logs", f"{self.name}-{role}"])
        return done.stdout + done.stderr

    def cpu_s(self, role: str) -> float:
        """CPU of the container's control group up to now, health checks included: cpuacct, or version 2's cpu.stat."""
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
        """Of one core, over the window."""
        start, before = time.monotonic(), self.cpu_s(role)
        time.sleep(WINDOW_S)
        return 100 * (self.cpu_s(role) - before) / (time.monotonic() - start)


@contextmanager
def pair(host: Engine, images: dict[str, str]) -> Iterator[Pair]:
    """A head and an agent to be started, removed with all that is theirs."""
    with tempfile.TemporaryDirectory() as folder:
        made = Pair(host, images, Path(folder))
        host.docker("network", "create", "--internal", made.name)
        try:
            yield made
        finally:
            mine = ("--quiet", f"--filter=name={made.name}")
            for container in host.docker("ps", "--all", *mine).split():
                host.docker("rm", "--force", container)
            for volume in host.docker("volume", "ls", *mine).split():
                host.docker("volume", "rm", volume)
            host.docker("network", "rm", made.name)


def ready_s(host: Engine, images: dict[str, str]) -> list[float]:
    """From the first `docker run`, the head's, until the agent is up."""
    times = []
    for _ in range(REPEATS):
        with pair(host, images) as fleet:
            start = time.perf_counter()
            fleet.up()
            times.append(time.perf_counter() - start)
    return times


def rest_percent(host: Engine, images: dict[str, str]) -> tuple[float, float]:
    """An agent's container that nobody has called yet, and between the trials of a run."""
    with pair(host, images) as fleet:
        fleet.up()
        time.sleep(SETTLE_S)
        idle = fleet.percent("agent")
        study = [f"--volume={fleet.folder}/study.yaml:/study.yaml:ro", f"--volume={fleet.name}-results:/results"]
        fleet.run("run", "coordinator", study, "run", "/study.yaml", "--address=head:6379", "--listen=auto")
        fleet.wait_for("run", "block 1", LONGEST_TRIAL_S)
        # A trial is told when its rest is over; the first, without its rest, takes some seconds.
        time.sleep(SETTLE_S)
        between = fleet.percent("agent")
    return idle, between


def main() -> int:
    """Builds, starts, waits; some ten minutes, and as many more where nothing is built yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir(), "joulefleet-images"))
    options = parser.parse_args()
    try:
        with engine(options.out / "engine") as host:
            base_image(host, options.out)
            images = build(host, show=False)
            size_mb = int(host.docker("image", "inspect", "--format={{.Size}}", images["agent"])) / 1e6
            layers = layers_mb(host, images["agent"])
            rebuilds = rebuild_s(host)
            starts = ready_s(host, images)
            idle, between = rest_percent(host, images)
    except EngineError as error:
        print(error, file=sys.stderr)
        return 1
    for name, size in layers.items():
        print(f"  {size:8.1f} MB  {name}", file=sys.stderr)
    ours = layers["Joulefleet"] + layers["user and folders"]
    strict = ours + layers["the other libraries"]
    print(f"  rebuilds {', '.join(f'{took:.1f}' for took in rebuilds)} s", file=sys.stderr)
    print(f"  starts {', '.join(f'{took:.1f}' for took in starts)} s", file=sys.stderr)
    return finish(
        [
            Figure(benchmark="image_agent", value=size_mb / 1e3, unit="GB", bound=BOUND_IMAGE_GB),
            # The strict reading: all that is neither base nor torch nor Ray. Whether transformers and pyarrow are
            # Joulefleet's own layers may be argued; the peer says what is without them.
            Figure(
                benchmark="image_agent_own_layers",
                value=strict,
                unit="MB",
                bound=BOUND_OWN_MB,
                peers={"Joulefleet's wheel, user and folders alone": ours},
            ),
            Figure(benchmark="image_rebuild", value=statistics.median(rebuilds), unit="s", bound=BOUND_REBUILD_S),
            Figure(benchmark="container_ready", value=statistics.median(starts), unit="s", bound=BOUND_READY_S),
            Figure(
                benchmark="container_at_rest",
                value=between,
                unit="% of a core",
                bound=BOUND_REST_PERCENT,
                peers={"before the first run": idle},
            ),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
