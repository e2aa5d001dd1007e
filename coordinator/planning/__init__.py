"""The preparation of a run: models and items are pinned, changes are named, and the plan is previewed."""
