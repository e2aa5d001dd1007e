"""Addresses and ports of a head and of this machine."""

from __future__ import annotations

import pytest

from coordinator.cluster.ray.network import (
    address_to_listen_on,
    check_ports,
    host_and_port,
    own_address,
    wait_for_head,
)
from joulefleet.errors import MachineError
from tests.support.network_namespaces import listening


@pytest.mark.parametrize("address", ["auto", "host", "host:", ":6379", "host:70000", "host:ray", "ray://host:x"])
def test_an_address_that_is_no_host_and_port_is_refused(address: str) -> None:
    """`auto` would join any cluster that was left running here."""
    with pytest.raises(MachineError, match="HOST:PORT"):
        host_and_port(address)


def test_an_address_may_be_a_name_or_ipv6_in_brackets() -> None:
    """The last colon separates the port."""
    assert host_and_port("head:6379") == ("head", 6379)
    assert host_and_port("[2001:db8::1]:6379") == ("2001:db8::1", 6379)


def test_a_head_that_starts_later_is_waited_for() -> None:
    """Machines that start together need not start in order; but the wait has an end."""
    with listening() as address:
        wait_for_head(address, wait_s=0)
    with pytest.raises(MachineError, match="no head answers"):
        wait_for_head(address, wait_s=0.6)


def test_a_port_in_use_is_named() -> None:
    """Ray would start, and fail a minute later without naming it."""
    with listening() as address:
        _, port = host_and_port(address)
        with pytest.raises(MachineError, match=f"port {port} is in use"):
            check_ports("127.0.0.1", [port])
    check_ports("127.0.0.1", [port])


def test_an_address_of_another_machine_cannot_be_listened_on() -> None:
    """198.51.100.0/24 belongs to nobody."""
    with pytest.raises(MachineError, match="an address of this machine"):
        check_ports("198.51.100.1", [29999])


def test_the_own_address_is_the_one_on_the_way_to_the_head() -> None:
    """A machine may have many; the head sees this one."""
    assert own_address("127.0.0.1:6379") == "127.0.0.1"
    assert own_address(None) is None
    assert own_address("no-such-name.invalid:6379") is None


def test_an_address_to_listen_on_is_an_address_a_name_or_auto() -> None:
    """A container knows neither its own address nor the head's before they are up."""
    assert address_to_listen_on("192.0.2.7", None, wait_s=0) == "192.0.2.7"
    assert address_to_listen_on("localhost", None, wait_s=0) in {"127.0.0.1", "::1"}
    assert address_to_listen_on("auto", "127.0.0.1:6379", wait_s=0) == "127.0.0.1"
    for listen, join in (("no-such-name.invalid", None), ("auto", "no-such-name.invalid:6379")):
        with pytest.raises(MachineError, match="--listen"):
            address_to_listen_on(listen, join, wait_s=0)
