"""The settings that keep Ray quiet."""

from __future__ import annotations

import os

import pytest

from coordinator.cluster.ray import settings


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """This holds for this process and for the environment of a node."""
    for name in settings.SETTINGS:
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    own = {"RAY_event_stats": "1", "HOME": "/root"}
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    settings.apply()
    expected = settings.SETTINGS | own
    assert {name: os.environ[name] for name in expected} == expected
    assert settings.environment(own) == expected


def test_the_setting_that_makes_the_control_server_spin_is_never_made() -> None:
    """RAY_event_stats_print_interval_ms=-1 is documented as off, and takes a whole CPU."""
    assert "RAY_event_stats_print_interval_ms" not in settings.SETTINGS
