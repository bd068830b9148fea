"""Zarr groups with a label, which says what is written there and which run writes it.

A run makes a group whole with its label, where no other does so at the same time; it may later set its
label on a group that another run has left. Whoever reads another run's id there has lost the group.
"""

from __future__ import annotations

import os
from typing import Any

import fsspec
import zarr
from zarr.storage import MemoryStore

from dask_igtm.data.disks import OTHER_THING
from dask_igtm.data.whole_outputs import FILE, FOLDER, check_kind, create_whole, is_url, real, write_whole

ATTRIBUTE = "dask_igtm"
BEGUN = (".zgroup", ".part")  # how names end that a run leaves which has not yet set its label

Label = dict[str, Any]


def label_of(path: str) -> Label | None:
    """Return the label of the group at a path, None where nothing is.

    Raises
    ------
    FileExistsError
        If something else is there.
    """
    check_kind(path, FILE, FOLDER)
    files, name = fsspec.core.url_to_fs(path)
    files.invalidate_cache()
    if not files.exists(name) or (
        files.isdir(name) and all(key.endswith(BEGUN) for key in files.ls(name, detail=False))
    ):
        return None
    try:
        found: Any = zarr.open_group(path, mode="r").attrs[ATTRIBUTE]
        return dict(found)
    except (*OTHER_THING, KeyError, ValueError, TypeError):
        raise FileExistsError(
            f"There is something at {path!r} that is no projection by dask_igtm; give another path, or "
            "remove it."
        ) from None


def claim(path: str, label: Label) -> bool:
    """Make a group with a label, which has the id of its run as "run", where nothing is.

    Return False where another run was first.
    """
    held: dict[str, Any] = {}
    zarr.create_group(MemoryStore(held), attributes={ATTRIBUTE: label})
    if not is_url(path):
        os.makedirs(real(path), exist_ok=True)
    *others, last = sorted(held, reverse=True)  # of format 2 .zgroup, the same for all, and .zattrs
    for key in others:
        write_whole(f"{path}/{key}", held[key].to_bytes())
    try:
        create_whole(f"{path}/{last}", held[last].to_bytes())
    except FileExistsError:
        return False
    return True


def set_label(path: str, label: Label) -> None:
    """Put another label in the place of that of a group."""
    zarr.open_group(path, mode="r+").attrs[ATTRIBUTE] = label


def check_run(group: zarr.Group, path: str, run: str) -> None:
    """Raise FileExistsError unless a group belongs to a run."""
    label: Any = group.attrs.get(ATTRIBUTE, {})
    check_label(label, path, run)


def check_label(label: Label, path: str, run: str) -> None:
    """Raise FileExistsError unless a label is that of a run."""
    if label.get("run") != run:
        raise FileExistsError(
            f"Another run has begun to write to {path!r}, so that this one stops; let that one end, or give "
            "another path."
        )
