"""What the images contain, and what they must not contain."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from joulefleet import __version__
from tests.containers.engine import Engine
from tests.containers.offline import CANARY

IMAGES = [f"joulefleet-{target}:{__version__}" for target in ("agent", "coordinator")]
ROOT = Path(__file__).parents[2]
CONFINED = ("--rm", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--read-only", "--tmpfs=/tmp")


def inside(host: Engine, image: str, *options: str, script: str) -> str:
    """Run a shell script in a container of `image` and return its output."""
    return host.docker("run", *CONFINED, *options, "--entrypoint=/bin/sh", image, "-ec", script)


@pytest.mark.parametrize("image", IMAGES)
def test_nothing_that_builds_is_left(host: Engine, image: str) -> None:
    """No pip, no compiler, no cache, no build backend and no secret of the build is left."""
    found = inside(
        host,
        image,
        script="for tool in pip pip3 gcc cc make git hatchling; do command -v $tool || true; done; "
        "ls -A /tmp /root/.cache /run/secrets 2>/dev/null | grep -v : || true; "
        "find / -xdev -name 'pip.conf' -o -xdev -name '.pip' -o -xdev -name hatchling 2>/dev/null || true",
    )
    assert found.split() == []


@pytest.mark.parametrize("image", IMAGES)
def test_no_secret_of_the_build_is_in_any_layer(host: Engine, image: str, tmp_path: Path) -> None:
    """Neither in a file, deleted or not, nor in the history."""
    saved = tmp_path / "image.tar"
    host.docker("save", "--output", str(saved), image, timeout_s=600)
    assert subprocess.run(["/bin/grep", "--quiet", "--text", CANARY, str(saved)], check=False).returncode == 1
    saved.unlink()
    assert CANARY not in host.docker("history", "--no-trunc", image)


@pytest.mark.parametrize("user", ["0:0", "10001:10001"])
def test_both_users_can_write_where_they_must_and_nowhere_else(host: Engine, user: str) -> None:
    """They have no capabilities, new volumes and a read-only root file system."""
    volumes = ("--volume=/var/lib/joulefleet", "--volume=/var/cache/joulefleet")
    script = (
        "touch /var/lib/joulefleet/x /var/cache/joulefleet/x /tmp/x; "
        "for place in / /opt/joulefleet /etc; do touch $place/x 2>/dev/null && echo $place; done; "
        "grep -E '^Cap(Eff|Prm|Bnd):' /proc/self/status | grep -v 0000000000000000 || true"
    )
    assert inside(host, IMAGES[0], f"--user={user}", *volumes, script=script) == ""


@pytest.mark.parametrize("image", IMAGES)
def test_labels_say_what_it_is(host: Engine, image: str) -> None:
    """The labels have the names of OCI's specification."""
    title, version, licence = (
        host.docker(
            "image", "inspect", "--format", f'{{{{index .Config.Labels "org.opencontainers.image.{name}"}}}}', image
        )
        for name in ("title", "version", "licenses")
    )
    assert (f"{title}:{version}", licence) == (image, "Apache-2.0")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["--version"], f"joulefleet {__version__}"), (["node", "up", "--help"], "--heartbeat"), ([], "Usage")],
)
def test_the_command_is_joulefleet(host: Engine, arguments: list[str], said: str) -> None:
    """In both images; without arguments it prints its usage."""
    for image in IMAGES:
        assert said in host.docker("run", *CONFINED, image, *arguments)


def test_the_dockerfile_keeps_hadolints_rules() -> None:
    """It keeps all rules except those that it names with a reason."""
    done = subprocess.run(
        [ROOT / ".venv/bin/hadolint", ROOT / "docker/Dockerfile"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
