"""`ray start` as Joulefleet needs it: a node on loopback listens on loopback."""

from __future__ import annotations

from typing import Any

from coordinator.cluster.ray import private

if __name__ == "__main__":
    private.keep_loopback()
    import ray.scripts.scripts

    scripts: Any = ray.scripts.scripts
    scripts.main()
