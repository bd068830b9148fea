"""One pass tells what the separate functions tell, of whatever holds the rows and what goes with them."""

import dataclasses
import os
import subprocess
import sys
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr
import zarr
from helpers.atlases import K_BELOW, atlas
from helpers.data import correlated, holed
from helpers.lazy import Computes, CountingStore, counting
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_posterior import dense_outputs

from dask_igtm import IGTM, IGTMClassifier, convert, landscape, quality
from dask_igtm.landscape import survey as module
from dask_igtm.landscape.survey import survey, surveys
from dask_igtm.posterior.tree_posterior import paths_of
from dask_igtm.projection.validate import fitted_map, rows_of
from dask_igtm.statistics import map_bins

N = 300
X = correlated(N, 4)
NAMES = list("abcd")
RNG = np.random.default_rng(0)
Y = X[:, 0] ** 2
LABELS = np.array(["few", "a longer one", "b"])[RNG.integers(3, size=N)]
WEIGHT = RNG.integers(4, size=N) / 2.0
WORDS = np.array([f"molecule {i}" for i in range(N)], object)
SMILES = pd.Series(WORDS, name="smiles")
SETTINGS = {"k": 5, "m": 2, "niter": 4, "scale": None, "solver": "em", "tol": 0}


@pytest.fixture(scope="module")
def igtm():
    return IGTM(**SETTINGS).fit(X)


@pytest.fixture(scope="module")
def named():
    return IGTM(**SETTINGS).fit(pd.DataFrame(X, columns=NAMES))


def alike(found, expected):
    """Compare whatever is told, numbers to rounding."""
    if expected is None or isinstance(expected, str):
        assert found == expected
    elif dataclasses.is_dataclass(expected):
        assert type(found) is type(expected)
        for field in dataclasses.fields(expected):
            if (
                field.name == "told"
            ):  # by the points of a page, which are those of the separate functions else
                continue
            alike(getattr(found, field.name), getattr(expected, field.name))
    elif isinstance(expected, dict):
        assert list(found) == list(expected)
        for key, value in expected.items():
            alike(found[key], value)
    elif np.asarray(expected).dtype.kind == "f":
        scale = np.abs(np.nan_to_num(expected)).max(initial=0.0)
        assert_allclose(found, expected, rtol=1e-6, atol=1e-12 * scale)
    else:
        assert_array_equal(found, expected)


def columns_of(table):
    return {str(name): table[name].to_numpy() for name in table.columns}


def spread(model, X, sample_weight, beside, function):
    """Return where rows lie, in the bins of which those of 64 along a side of 5 nodes are 13 to a node."""
    edges = np.linspace(-1.25, 1.25, 5 * 13 + 1)
    rows = rows_of(model, X, sample_weight, beside)
    found = fitted_map(model).reduce(rows, function, edges, 5000, label="spread")
    if not model.keep_empty_rows:
        return found
    kept = np.flatnonzero(~np.isnan(np.asarray(X)).all(axis=1))  # a page counts all rows
    points = dataclasses.replace(found.points, rows=kept[found.points.rows])
    return dataclasses.replace(found, n_seen=len(X), points=points)


def apart(model, X, y=None, labels=None, ids=None, sample_weight=None, of_ids=None):
    """Return what `survey` does, from a pass for each part; X is `of_ids` where that has the ids too."""
    spreads = dict.fromkeys(("plain", "by_label", "by_value"))
    one_column = y is not None and (np.ndim(y) == 1 or np.shape(y)[1] == 1)
    if labels is not None:
        spreads["by_label"] = spread(model, X, sample_weight, labels, map_bins.of_labels)
    if one_column:
        spreads["by_value"] = spread(model, X, sample_weight, y, map_bins.of_values)
    if labels is None and not one_column:
        spreads["plain"] = spread(model, X, sample_weight, None, map_bins.of_rows)
    weighted = {"sample_weight": sample_weight}
    return {
        **spreads,
        "density": landscape.density(model, X, **weighted),
        "classes": None if labels is None else landscape.classes(model, X, labels, **weighted),
        "property": None if y is None else landscape.property(model, X, y, **weighted),
        "quality": quality(model, X, **weighted),
        "without_quality": "",
        "members": columns_of(landscape.members(model, X if of_ids is None else of_ids, ids)),
        "markers": columns_of(landscape.markers(model, X, **weighted)),
    }


def check(model, X, **given):
    found = survey(model, X, **given)
    alike(vars(found), apart(model, X, **given))
    return found


# What goes with the rows

Y_WITH_GAPS = np.where(np.arange(N) % 7 == 0, np.nan, Y)
LABELS_WITH_GAPS = np.where(np.arange(N) % 5 == 0, None, LABELS.astype(object))
BESIDE = {
    "nothing": {},
    "labels": {"labels": LABELS},
    "whole numbers": {"labels": RNG.integers(3, size=N)},
    "a column": {"y": Y},
    "one column": {"y": Y[:, None]},
    "columns": {"y": np.column_stack([Y, -Y])},
    "columns and labels": {"y": np.column_stack([Y, Y_WITH_GAPS]), "labels": LABELS},
    "gaps": {"y": Y_WITH_GAPS, "labels": LABELS_WITH_GAPS},
    "ids": {"ids": WORDS},
    "all": {"y": Y_WITH_GAPS, "labels": LABELS_WITH_GAPS, "ids": WORDS},
}
ROWS = {
    "memory": lambda _: X,
    "float32": lambda _: X.astype(np.float32),
    "dask": lambda _: da.from_array(X, chunks=(100, 4)),
    "uneven": lambda _: da.from_array(X, chunks=((1, 7, 200, 92), 4)),
    "zarr": lambda path: str(zarr.create_array(path / "x.zarr", data=X, chunks=(80, 4)).store.root),
    "sparse": lambda _: sp.csr_array(X),
    "lazy sparse": lambda _: da.from_array(X, chunks=(100, 4)).map_blocks(
        sp.csr_array, meta=sp.csr_array((0, 4)), dtype=float
    ),
}


@pytest.mark.parametrize("beside", BESIDE)
@pytest.mark.parametrize("rows", ["memory", "uneven"])
def test_what_goes_with_rows(igtm, tmp_path, beside, rows):
    check(igtm, ROWS[rows](tmp_path), **BESIDE[beside])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("rows", ROWS)
def test_whatever_holds_the_rows(igtm, tmp_path, rows, weighted):
    given = BESIDE["all"] | ({"sample_weight": np.maximum(WEIGHT, 0.5)} if weighted else {})
    check(igtm, ROWS[rows](tmp_path), **given)


@pytest.mark.parametrize("rows", ["memory", "dask"])
def test_rows_without_weight_are_not_there(igtm, tmp_path, rows):
    chosen = WEIGHT > 0
    found = survey(igtm, ROWS[rows](tmp_path), labels=LABELS, ids=WORDS, sample_weight=WEIGHT)
    kept = {"labels": LABELS[chosen], "ids": WORDS[chosen]}
    expected = apart(igtm, X[chosen], sample_weight=WEIGHT[chosen], **kept)
    for part in ("density", "classes", "members", "markers"):
        alike(getattr(found, part), expected[part])
    assert found.quality.n_samples == pytest.approx(WEIGHT.sum())


@given(cuts=st.lists(st.integers(1, N - 1), max_size=6, unique=True))
@settings(max_examples=10, deadline=None)
def test_blocks_change_nothing(igtm, cuts):
    sizes = tuple(np.diff([0, *sorted(cuts), N]).tolist())
    given = BESIDE["all"] | {"sample_weight": WEIGHT}
    found = survey(igtm, da.from_array(X, chunks=(sizes, 4)), **given)
    alike(vars(found), vars(survey(igtm, X, **given)))


@pytest.mark.parametrize("rows", ["memory", "uneven"])
def test_rows_with_gaps(tmp_path, rows):
    gappy = holed(X, 0.2)
    gappy[[0, 50, 299]] = np.nan
    model = IGTM(**SETTINGS, missing="marginalize").fit(gappy)
    lazy = gappy if rows == "memory" else da.from_array(gappy, chunks=((1, 7, 200, 92), 4))
    found = check(model, lazy, **BESIDE["all"])
    assert not set(found.members["id"]) & set(WORDS[[0, 50, 299]])


@pytest.mark.parametrize("rows", ["memory", "uneven"])
@pytest.mark.parametrize("beside", ["nothing", "all"])
def test_empty_rows_are_left_out_and_counted(rows, beside):
    sea = X.copy()
    sea[np.r_[0:9, 50, 299]] = np.nan
    model = IGTM(**SETTINGS, keep_empty_rows=True).fit(sea)
    lazy = sea if rows == "memory" else da.from_array(sea, chunks=((1, 7, 200, 92), 4))
    found = check(model, lazy, sample_weight=np.maximum(WEIGHT, 0.5), **BESIDE[beside])
    assert found.density.summary["n_rows"] < np.maximum(WEIGHT, 0.5).sum()


# Where the names of the rows come from


def frames():
    frame = pd.DataFrame(X, columns=NAMES, index=pd.Index(WORDS, name="smiles"))
    return {
        "pandas": frame,
        "dask": dd.from_pandas(frame, npartitions=4, sort=False),
        "xarray": xr.DataArray(X, {"smiles": WORDS, "column": NAMES}, ("smiles", "column")),
    }


@pytest.mark.parametrize("kind", list(frames()))
def test_an_index_names_the_rows(named, kind):
    table = frames()[kind]
    labels = pd.Series(LABELS, WORDS)
    found = survey(named, table, labels=LABELS if kind == "xarray" else labels) if kind != "dask" else None
    if kind == "dask":  # whose sizes of chunks are unknown
        found = survey(named, table, labels=dd.from_pandas(labels, npartitions=4, sort=False))
        assert found.quality is None
        assert found.without_quality.startswith("A sample of rows needs to know how many rows X has")
    expected = apart(
        named, pd.DataFrame(X, columns=NAMES), labels=LABELS, ids=pd.Series(WORDS, name="smiles")
    )
    for part in ("by_label", "density", "classes", "members", "markers"):
        alike(getattr(found, part), expected[part])


@pytest.fixture
def table():
    return pd.DataFrame(X, columns=NAMES).assign(smiles=WORDS, kind=LABELS)


@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.zarr"])
def test_files_with_ids(named, table, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    table.to_csv("t.csv", index=False)
    table.to_parquet("t.parquet", row_group_size=70)
    convert("t.parquet", "t.zarr", index="smiles", drop=["kind"])
    frame = pd.DataFrame(X, columns=NAMES)
    expected = apart(named, frame, labels=LABELS, ids=SMILES)
    labels = da.from_array(LABELS, chunks=N) if name == "t.csv" else LABELS  # of a block of unknown size
    found = survey(named, name, labels=labels, ids="smiles")
    for part in ("by_label", "density", "classes", "members", "markers"):
        alike(getattr(found, part), expected[part])
    alike(found.quality, None if name == "t.csv" else expected["quality"])


@pytest.mark.parametrize("lazy", [False, True])
def test_names_that_the_table_of_members_has_itself(named, lazy):
    frame = pd.DataFrame(X, columns=NAMES, index=pd.Index(WORDS, name="node"))
    table = dd.from_pandas(frame, npartitions=2, sort=False) if lazy else frame
    members = survey(named, table).members
    assert list(members) == ["node", "rank", "node of X", "probability"]
    assert set(members["node of X"]) <= set(WORDS)


# How often what is read


@pytest.mark.parametrize("beside", BESIDE)
def test_rows_are_read_once(igtm, beside):
    lazy, computed = counting(X)
    survey(igtm, lazy, **BESIDE[beside])
    assert_array_equal(np.bincount(computed), [1, 1, 1])


def test_all_is_one_graph_and_what_goes_with_rows_is_read_once(igtm):
    noted = [counting(values[:, None]) for values in (Y, np.arange(N))]
    values, numbers = (lazy[:, 0] for lazy, _ in noted)
    labels = numbers.map_blocks(lambda rows: LABELS[rows.astype(int)], dtype="U1")  # which is too short
    X_lazy, computed = counting(X)
    with Computes() as computes:
        found = survey(igtm, X_lazy, y=values, labels=labels, ids=numbers.astype(int))
    assert computes.count == 1
    assert [sorted(blocks) for blocks in (computed, *(blocks for _, blocks in noted))] == [[0, 1, 2]] * 3
    alike(vars(found), apart(igtm, X, y=Y, labels=LABELS, ids=pd.Series(np.arange(N), name="id")))


def test_chunks_of_a_store_are_read_once(igtm, monkeypatch):
    store = CountingStore()
    monkeypatch.setattr(CountingStore, "read", [])
    array = zarr.create_array(store, data=X, chunks=(100, 4))
    store.read.clear()
    survey(igtm, array, y=Y, labels=LABELS)
    assert sorted(store.read) == ["c/0/0", "c/1/0", "c/2/0"]


def test_lazy_weights_are_read_before(igtm):
    lazy, computed = counting(X)
    weights, weighed = counting(WEIGHT[:, None])
    survey(igtm, lazy, sample_weight=weights[:, 0])
    assert_array_equal(np.bincount(computed), [1, 1, 1])
    assert_array_equal(np.bincount(weighed), [2, 2, 2])


# Sizes


def test_many_nodes_have_fewer_entries(igtm, monkeypatch):
    monkeypatch.setattr(module, "MOST_ENTRIES", 60)  # of 25 nodes
    found = survey(igtm, X)
    alike(found.members, columns_of(landscape.members(igtm, X, top=2)))
    alike(found.markers, columns_of(landscape.markers(igtm, X, n=2)))
    monkeypatch.setattr(module, "MOST_ENTRIES", 10)
    assert survey(igtm, X, n_markers=3).markers["rank"].tolist() == [1] * 25


def test_many_rows_are_counted_in_bins_alone(igtm):
    found = survey(igtm, X, max_points=299, n_bins=10)
    assert found.plain.points is None
    assert found.plain.counts.shape == (10, 10)
    assert survey(igtm, X, max_points=300).plain.points is not None


def test_a_map_of_one_node():
    found = survey(IGTM(k=1, m=1, niter=1, scale="center", solver="em").fit(X), X)
    assert found.density.values.tolist() == [[1.0, N]]
    assert {name: len(column) for name, column in found.markers.items()} == dict.fromkeys(
        ("node", "rank", "column", "value", "rest", "difference"), 0
    )


@pytest.mark.parametrize("n_rows", [1, 10, 11])
def test_few_rows_have_no_neighbours(igtm, n_rows):
    found = survey(igtm, X[:n_rows])
    assert (found.quality is None) == (n_rows <= 10)
    assert found.without_quality == (
        f"A sample of rows has {n_rows} of them, and 5 neighbours of each are sought among more than 10."
        if n_rows <= 10
        else ""
    )


def test_a_classifier_stands_for_its_map():
    classifier = IGTMClassifier(**SETTINGS).fit(X, LABELS)
    alike(vars(survey(classifier, X, labels=LABELS)), vars(survey(classifier.igtm_, X, labels=LABELS)))


def test_markers_of_columns_without_names_have_their_numbers(igtm, named):
    assert survey(igtm, X).markers["column"].dtype == np.int64
    columns = survey(named, pd.DataFrame(X, columns=NAMES)).markers["column"]
    assert columns.dtype == object
    assert set(columns) == set(NAMES)


# What is refused


def turned(function):
    """Return lazy values that a function turns into others than they are said to be."""
    return da.from_array(Y, chunks=100).map_blocks(function, dtype=float, meta=np.empty(0))


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ({"labels": LABELS[:-1]}, ValueError, "X has 300 rows, but y has shape"),
        ({"labels": Y}, ValueError, "fractions"),
        ({"y": LABELS}, ValueError, "no real number|not a real number"),
        ({"y": pd.Series(LABELS, name="word", dtype="string")}, ValueError, "in 'word'"),
        ({"y": np.full(N, np.nan)}, ValueError, "No row counts"),
        ({"labels": np.full(N, None)}, ValueError, "No row counts"),
        ({"sample_weight": np.zeros(N)}, ValueError, "No row counts"),
        ({"sample_weight": -np.ones(N)}, ValueError, "negative"),
        ({"ids": "name"}, ValueError, "X has no column 'name'"),
        ({"top": 0}, ValueError, "top=0"),
        ({"n_markers": 0}, ValueError, "n_markers=0"),
        ({"n_bins": 0}, ValueError, "n_bins=0"),
        ({"y": turned(lambda y: y.astype(str))}, TypeError, "A block of y has dtype <U"),
        ({"labels": turned(np.ma.masked_invalid)}, TypeError, "A block of labels is a masked array"),
    ],
)
def test_what_cannot_be_used_is_refused(igtm, wrong, error, said):
    with pytest.raises(error, match=said):
        survey(igtm, da.from_array(X, chunks=(100, 4)), **wrong)


def test_a_column_of_labels_is_taken_with_a_warning(igtm):
    with pytest.warns(UserWarning, match="column-vector"):
        found = survey(igtm, X, labels=LABELS[:, None])
    alike(found.classes, landscape.classes(igtm, X, LABELS))


@pytest.mark.parametrize("name", ["labels", "y"])
def test_a_column_in_a_store_is_taken(igtm, tmp_path, name):
    column = zarr.create_array(tmp_path / "column.zarr", data=np.arange(N)[:, None] % 3, chunks=(80, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of its shape
        found = survey(igtm, da.from_array(X, chunks=(100, 4)), **{name: column})
    alike(vars(found), apart(igtm, X, **{name: np.arange(N) % 3}))


def test_labels_of_zarr_s_own_text(igtm, tmp_path):
    text = zarr.create_array(tmp_path / "text.zarr", shape=N, chunks=80, dtype="string")
    text[:] = LABELS.astype(object)
    found = survey(igtm, da.from_array(X, chunks=(100, 4)), labels=text)
    alike(vars(found), apart(igtm, X, labels=LABELS))


def test_blocks_of_other_sizes_are_refused(igtm):
    def unknown(array, keep):
        return array.map_blocks(lambda block: block[keep:], chunks=((np.nan,) * 3, *array.chunks[1:]))

    values = da.from_array(Y, chunks=100)
    lazy = unknown(da.from_array(X, chunks=(100, 4)), 0)
    with pytest.raises(ValueError, match=r"Blocks of labels, y have \[100, 99\] rows"):
        survey(igtm, lazy, labels=unknown(values > 1, 0), y=unknown(values, 1))
    with pytest.raises(ValueError, match="A block of X has 100 rows, and its weights or values are"):
        survey(igtm, lazy, labels=unknown(values > 1, 1), y=unknown(values, 1))


@pytest.mark.slow
def test_array_query_planning():
    code = """
import dask.array as da, numpy as np
from dask_igtm import IGTM
from dask_igtm.landscape.survey import survey, surveys
from dask_igtm.posterior.tree_posterior import paths_of
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 4))
words = np.array([f"m{i}" for i in range(600)], object)
igtm = IGTM(k=5, m=3, niter=2, scale=None, solver="em").fit(X)
lazy = da.from_array(X, chunks=(200, 4))
assert hasattr(lazy, "expr")
beside = {"labels": X[:, 0] > 0, "y": X[:, :2]}
one, other = survey(igtm, X, ids=words, **beside), survey(igtm, lazy, ids=words, **beside)
np.testing.assert_allclose(one.property.values, other.property.values, rtol=1e-9)
assert one.members["id"].tolist() == other.members["id"].tolist()
"""
    planned = os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True"}
    subprocess.run([sys.executable, "-c", code], env=planned, check=True)


# All maps of an atlas


@pytest.fixture(scope="module")
def maps():
    return atlas(X)


def paths(maps, rows=X):
    return paths_of(np.ascontiguousarray(rows), maps.tree_, "numpy").toarray()


@pytest.mark.parametrize("rows", ["memory", "uneven", "sparse"])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_each_map_is_told_of_as_by_itself(maps, tmp_path, rows, weight):
    beside = BESIDE["all"] | {"max_points": 200}
    found = surveys(maps, ROWS[rows](tmp_path), sample_weight=weight, **beside)
    lies = np.where(paths(maps) > np.finfo(float).eps, paths(maps), 0.0)  # others are left out
    often = lies * (1.0 if weight is None else weight[:, None])
    for number, of_map in enumerate(found):
        own = weight if number == 0 else often[:, number]
        expected = vars(survey(maps.maps_[number], X, sample_weight=own, **beside))
        told = vars(of_map)
        alike(*({name: each for name, each in one.items() if name != "members"} for one in (told, expected)))


def test_members_are_the_likeliest_to_lie_on_the_map_and_at_the_node(maps):
    found = surveys(maps, da.from_array(X, chunks=(70, -1)), top=3)
    for number, of_map in enumerate(found):
        igtm = maps.maps_[number]
        lies = dense_outputs(igtm, X, 1)["responsibilities"] * paths(maps)[:, [number]]
        for node in range(len(igtm.nodes_)):
            own = of_map.members["node"] == node
            likeliest = np.sort(lies[:, node])[::-1][:3]
            assert_allclose(of_map.members["probability"][own], likeliest, rtol=1e-4, atol=1e-30)
            assert_allclose(lies[of_map.members["row"][own], node], likeliest, rtol=1e-4, atol=1e-30)


@pytest.mark.parametrize("beside", ["nothing", "all"])
def test_all_maps_are_told_of_from_one_pass(maps, beside):
    lazy, computed = counting(X)
    with Computes() as computes:
        surveys(maps, lazy, **BESIDE[beside])
    assert computes.count == 1
    assert_array_equal(np.bincount(computed), [1, 1, 1])


def test_maps_below_share_what_is_told(maps, monkeypatch):
    monkeypatch.setattr(module, "BELOW", 0.75)  # roots in 3 maps, a quarter each
    monkeypatch.setattr(module, "MOST_ENTRIES", 4 * 2 * K_BELOW**2)
    monkeypatch.setattr(module, "N_SAMPLE", 200)
    root, *below = surveys(maps, X, n_bins=48, max_points=len(X))
    assert root.plain.counts.shape == (48, 48)
    assert root.plain.points is not None
    assert root.quality.n_sample == 200
    for of_map in below:
        assert of_map.plain.counts.shape == (24, 24)
        assert of_map.plain.points is None
        assert of_map.members["rank"].max() == of_map.markers["rank"].max() == 2
        assert of_map.quality.n_sample == 50


def test_maps_of_no_rows_and_of_none_with_a_label():
    left, right = X - np.array([100, 0, 0, 0]), X + np.array([100, 0, 0, 0])
    both = np.vstack([left, right])
    far = atlas(both)
    has_rows = paths(far, right).sum(axis=0) >= 1
    assert not has_rows.all()
    assert [of_map is not None for of_map in surveys(far, right)] == has_rows.tolist()
    labels = np.where(np.arange(2 * N) < N, None, "right")
    values = np.where(np.arange(2 * N) < N, np.nan, 1.0)
    for number, of_map in enumerate(surveys(far, both, labels=labels, y=values)):
        assert (of_map.classes is not None) == (of_map.property is not None) == has_rows[number]


def test_empty_rows_lie_on_no_map(maps):
    sea = X.copy()
    sea[[0, 50, 299]] = np.nan
    gappy = atlas(X, missing="marginalize", keep_empty_rows=True)
    found = surveys(gappy, da.from_array(sea, chunks=((1, 7, 200, 92), 4)))
    kept = ~np.isnan(sea).any(axis=1)
    for number, of_map in enumerate(found):
        n_rows = paths(gappy, sea[kept])[:, number].sum()
        assert of_map.density.support.sum() == pytest.approx(n_rows, rel=1e-6)
        assert not set(of_map.members["row"]) & {0, 50, 299}
        assert_array_equal(np.isin(of_map.plain.points.rows, np.flatnonzero(kept)), True)
