"""Run `ray start` so that a node on loopback listens on loopback alone. Started with `python -m` by `lifecycle`."""

from __future__ import annotations

from typing import Any

from coordinator.cluster.ray import patches

if __name__ == "__main__":
    patches.keep_loopback()
    import ray.scripts.scripts

    scripts: Any = ray.scripts.scripts
    scripts.main()
