from pathlib import Path

import pytest

from coordinator.cluster.ray.node.spec import NodePlan, Ports, Tls, check_folder
from joulefleet.errors import MachineError

FOLDER = Path("/tmp/joulefleet-x")  # noqa: S108 - a name, nothing is written


def plan(*, join: str | None = None, listen: str = "127.0.0.1", measures: bool = True) -> NodePlan:
    """Return the plan of a node."""
    return NodePlan(join=join, listen=listen, ports=Ports(base=7000), measures=measures)


def test_every_port_of_a_node_is_fixed_and_its_own() -> None:
    """A firewall opens thirty ports in a row, and two nodes of one host do not collide."""
    ports = Ports(base=7000)
    everything = ports.all(is_head=True)
    assert len(set(everything)) == len(everything)
    assert (min(everything), max(everything)) == (7000, 7029)
    assert 7000 not in ports.all(is_head=False)


def test_a_node_that_does_not_measure_offers_nothing() -> None:
    """It has no CPU and no agent's resource, so Ray starts nothing there."""
    arguments = plan(measures=False).arguments(FOLDER)
    assert "--head" in arguments
    assert "--port=7000" in arguments
    assert "--num-cpus=0" in arguments
    assert "--resources={}" in arguments


def test_a_node_that_measures_offers_one_agent() -> None:
    """It offers one CPU, because Ray starts an idle worker for each one."""
    arguments = plan(join="192.0.2.7:6379", listen="192.0.2.8").arguments(FOLDER)
    assert "--address=192.0.2.7:6379" in arguments
    assert "--head" not in arguments
    assert "--num-cpus=1" in arguments
    assert '--resources={"joulefleet_agent": 1}' in arguments


def test_the_address_of_the_head_is_its_own_or_the_one_joined() -> None:
    """A user joins it, and a coordinator connects to it."""
    assert plan(listen="192.0.2.7").head == "192.0.2.7:7000"
    assert plan(join="192.0.2.7:6379", listen="192.0.2.8").head == "192.0.2.7:6379"


def test_loopback_needs_no_token() -> None:
    """Nobody else can reach it."""
    plan().check(with_token=False, towards_head=None)


def test_an_outer_address_without_a_token_is_refused() -> None:
    """Whoever reaches a node of Ray can run programs on it."""
    with pytest.raises(MachineError, match="without a token"):
        plan(listen="192.0.2.7").check(with_token=False, towards_head=None)
    plan(listen="192.0.2.7").check(with_token=True, towards_head=None)


@pytest.mark.parametrize("listen", ["0.0.0.0", "::", "a-name", ""])  # noqa: S104 - it is refused
def test_what_is_no_address_of_one_machine_is_refused(listen: str) -> None:
    """Other nodes are told to connect there."""
    with pytest.raises(MachineError):
        plan(listen=listen).check(with_token=True, towards_head=None)


def test_a_node_on_loopback_cannot_join_another_machine() -> None:
    """It would join, and its head would never reach it; the cure names the right address."""
    with pytest.raises(MachineError, match="Add --listen"):
        plan(join="192.0.2.7:6379").check(with_token=True, towards_head="192.0.2.8")
    plan(join="127.0.0.1:6379").check(with_token=True, towards_head="127.0.0.1")


def test_a_certificate_that_is_not_there_is_an_error_with_a_cure(tmp_path: Path) -> None:
    """Ray would start without it, or end without a message."""
    for name in ("cert", "key"):
        (tmp_path / name).write_text("pem")
    tls = Tls(cert=tmp_path / "cert", key=tmp_path / "key", ca=tmp_path / "ca")
    with pytest.raises(MachineError, match="--tls takes three files"):
        tls.environment()
    (tmp_path / "ca").write_text("pem")
    assert tls.environment()["RAY_USE_TLS"] == "1"


def test_a_folder_too_deep_for_sockets_is_refused() -> None:
    """Ray would fail later, because of a path that nobody has chosen."""
    check_folder(FOLDER)
    with pytest.raises(MachineError, match="TMPDIR"):
        check_folder(Path("/") / ("x" * 60))
