"""Studies for tests, made from a text by changing values in it: a change that meets nothing is an error."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML


def changed(text: str, changes: Mapping[str, Any], *, without: tuple[str, ...] = ()) -> str:
    """Return the study in the YAML `text` with other values, as YAML text.

    The keys of `changes` and `without` are paths such as `measure.window.passes`. A value is set, where
    the path is there or not, as long as its parent is; a path of `without` must be there. Raises
    KeyError that names the path.
    """
    data = YAML(typ="safe").load(text)
    for path, value in changes.items():
        parent, key = _parent(data, path)
        parent[key] = value
    for path in without:
        parent, key = _parent(data, path)
        if key not in parent:
            raise KeyError(path)
        del parent[key]
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    # The order of models and tasks is part of a study.
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]  # the attribute's type is that of its default
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def _parent(data: dict[str, Any], path: str) -> tuple[dict[str, Any], str]:
    *folders, key = path.split(".")
    for folder in folders:
        if not isinstance(data.get(folder), dict):
            raise KeyError(path)
        data = data[folder]
    return data, key
