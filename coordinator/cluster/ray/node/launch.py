"""`ray start` as Joulefleet needs it: a node on loopback listens on loopback."""

from __future__ import annotations

from typing import Any

from coordinator.cluster.ray import patches

if __name__ == "__main__":
    patches.keep_loopback()
    import ray.scripts.scripts

    scripts: Any = ray.scripts.scripts
    scripts.main()
