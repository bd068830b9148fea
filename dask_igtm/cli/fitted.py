"""What is fitted in a file, as commands want it: a map, an atlas, or one of its maps."""

from __future__ import annotations

from typing import Any

# Whatever takes long to import is imported by what needs it.


def fitted(path: str, map_name: str | None = None) -> Any:
    """Return the atlas in a file, or the map of that name, or else the map, of a classifier too."""
    from dask_igtm import load
    from dask_igtm.projection.validate import map_estimator

    found = load(path)
    if map_name is None:
        return found if is_atlas(found) else map_estimator(found)
    number = _number(found, path, map_name)
    return found.maps_[number]


def is_atlas(found: Any) -> bool:
    """Whether what was fitted is an atlas."""
    return hasattr(found, "tree_")


def no_atlas(path: str) -> str:
    """Say that nothing can be chosen from what is at a path."""
    return f"{path!r} is no atlas, so that it has no maps to choose from; leave --map out."


def single_map(path: str) -> Any:
    """Return the map in a file that is of no atlas."""
    found = fitted(path)
    if is_atlas(found):
        raise ValueError(
            f"{path!r} is an atlas of {len(found.maps_)} maps, and this takes a file of a single one; in "
            f"Python, load({path!r}).maps_[0].save writes such a file of its root."
        )
    return found


def map_with_rows(path: str, map_name: str | None, X: str) -> tuple[Any, Any]:
    """Return a map, and the weights of the rows of X: on a map of an atlas, the share that lies there."""
    from dask_igtm import load

    if map_name is None:
        found = fitted(path)
        if is_atlas(found):
            raise ValueError(
                f"{path!r} is an atlas, and this is about one map; say which by --map, of those that "
                f"{_lists(path)}."
            )
        return found, None
    atlas = load(path)
    number = _number(atlas, path, map_name)
    weight = atlas.describe(X, ("paths",))["paths"][:, number] if number else None
    return atlas.maps_[number], weight


def _number(found: Any, path: str, map_name: str) -> int:
    """Return the number of a map of an atlas."""
    if not is_atlas(found):
        raise ValueError(no_atlas(path))
    names: list[str] = found.tree_.names
    if map_name not in names:
        raise ValueError(f"{path!r} has no map {map_name!r}; give one of those that {_lists(path)}.")
    return names.index(map_name)


def _lists(path: str) -> str:
    return f"dask-igtm info {path} lists"
