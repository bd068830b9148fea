"""Maps within maps as what a file without pickle can hold: each map as it is saved alone, and the tree."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm._version import __version__
from dask_igtm.atlas.growth import KEPT, Trial
from dask_igtm.estimators import saving
from dask_igtm.model import stored
from dask_igtm.model.map_tree import NONE, MapTree, TreeMap
from dask_igtm.model.model import Model
from dask_igtm.projection.validate import take_columns_of

Arrays = dict[str, NDArray[Any]]

NESTED = ("estimator", "child")  # parameters that are estimators
KINDS: dict[str, Any] = {"str": str, "int": int, "float": (int, float)}  # what a trial may hold
UNKNOWN = ("gain", "gain_error")  # numbers that may not be there


def pack(atlas: Any) -> tuple[dict[str, Any], Arrays]:
    """Return a header for JSON and named arrays."""
    parameters = atlas.get_params(deep=False)
    nested = {name: parameters.pop(name) for name in NESTED}
    headers: list[dict[str, Any]] = []
    arrays: Arrays = {}
    for number, (igtm, own) in enumerate(zip(atlas.maps_, atlas.tree_.maps, strict=True)):
        header, found = saving.pack(igtm)
        headers.append(header | {"parent": own.parent, "region": own.region, "children": list(own.children)})
        found |= {"regions": own.regions, "shares": own.shares}
        arrays |= {f"{number}_{name}": array for name, array in found.items()}
    return {
        "package_version": __version__,
        "class": saving.class_name(atlas),
        "parameters": parameters,
        "estimators": {
            name: None if one is None else {"class": saving.class_name(one), "parameters": one.get_params()}
            for name, one in nested.items()
        },
        "trials": [dataclasses.asdict(trial) for trial in atlas.trials_],
        "maps": headers,
    }, arrays


def unpack(kind: type, maps: dict[str, Any], header: dict[str, Any], arrays: Arrays) -> Any:
    """Return the atlas of which `pack` made these; `maps` are the classes of maps by their names.

    Raises
    ------
    ValueError
        If they are none of an atlas.
    """
    nested = {
        name: None
        if one is None
        else maps[one["class"]](**saving.parameters(maps[one["class"]], one["parameters"]))
        for name, one in header["estimators"].items()
    }
    if nested["estimator"] is None:
        raise ValueError("it has no estimator")
    atlas = kind(**saving.parameters(kind, header["parameters"] | nested))
    igtms, of_tree = [], []
    for number, own in enumerate(header["maps"]):
        prefix = f"{number}_"
        its = {name.removeprefix(prefix): a for name, a in arrays.items() if name.startswith(prefix)}
        igtms.append(saving.unpack(maps[own["class"]], own, its))
        of_tree.append(_tree_map(igtms[-1].model_, own, its))
    atlas.maps_, atlas.tree_ = igtms, MapTree(tuple(of_tree))
    _check(atlas.tree_)
    atlas.trials_ = [_trial(trial) for trial in header["trials"]]
    kept = [trial.name for trial in atlas.trials_ if trial.outcome == KEPT]
    if kept != atlas.tree_.names:
        raise ValueError(f"its trials kept {kept}, and its maps are {atlas.tree_.names}")
    take_columns_of(atlas, igtms[0])
    return atlas


def _tree_map(model: Model, own: dict[str, Any], arrays: Arrays) -> TreeMap:
    children = tuple(own["children"])
    shares = stored.floats(arrays, "shares", len(children))
    regions = np.asarray(arrays["regions"])
    n_nodes = len(model.basis.nodes)
    if (
        regions.shape != (n_nodes,)
        or regions.dtype.kind != "i"
        or set(regions.tolist()) != set(range(len(children)))
    ):
        raise ValueError(f"regions are none of {n_nodes} nodes, each in one of {len(children)}")
    numbers = (own["parent"], own["region"], *children)
    if not all(type(number) is int for number in numbers):
        raise ValueError(f"parent, region and children are {numbers}, and not whole numbers")
    if not (shares > 0).all() or abs(shares.sum() - 1.0) > 1e-9:
        raise ValueError("shares of regions are none that sum to 1")
    return TreeMap(model, own["parent"], own["region"], regions.astype(np.intp), shares, children)


def _check(tree: MapTree) -> None:
    """Raise ValueError unless parents and children are each other's."""
    said = {
        (number, region): child
        for number, own in enumerate(tree.maps)
        for region, child in enumerate(own.children)
        if child != NONE
    }
    meant = {(own.parent, own.region): number for number, own in enumerate(tree.maps) if number}
    first = tree.maps[0] if tree.maps else None
    if (
        first is None
        or (first.parent, first.region) != (NONE, NONE)
        or said != meant
        or any(m[0] >= n for m, n in meant.items())
    ):
        raise ValueError("its maps are none of a tree")
    if len({(len(own.model.affine.mean), own.model.noise.natural) for own in tree.maps}) > 1:
        raise ValueError("its maps are of different columns or kinds of noise")


def _trial(saved: dict[str, Any]) -> Trial:
    names = [field.name for field in dataclasses.fields(Trial)]
    if sorted(saved) != sorted(names):
        raise ValueError(f"a trial tells {sorted(saved)}, and not {sorted(names)}")
    wrong = [
        f"{field.name} {saved[field.name]!r}"
        for field in dataclasses.fields(Trial)
        if not isinstance(saved[field.name], KINDS[str(field.type)])
        and not (field.name in UNKNOWN and saved[field.name] is None)
    ]
    if wrong:
        raise ValueError(f"a trial cannot have {', '.join(wrong)}")
    unknown = {name: float("nan") for name in UNKNOWN if saved[name] is None}
    return Trial(**(saved | unknown))
