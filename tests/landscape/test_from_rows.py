"""Landscapes equal ugtm's and those of all responsibilities at once, whatever the rows come in."""

import copy
import dataclasses

import dask
import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pytest
import ugtm
import xarray as xr
import zarr
from dask import dataframe as dd
from helpers.lazy import Computes, computing, counting
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_e_step import dense_e_step
from oracles.dense_landscape import dense_mean_and_std
from scipy import sparse
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from ugtm import ugtm_landscape

from dask_igtm import IGTM, IGTMAtlas, IGTMClassifier, IGTMRegressor, IGTMSearch, eIGTM, landscape, load
from dask_igtm.data.frames import category_order
from dask_igtm.statistics import node_sums

NAMES = np.array(["setosa", "versicolor", "virginica"])
X, SPECIES = load_iris(return_X_y=True)
SIZES = X[:, :3] * [1.0, 10.0, -2.0] + [0.0, 5.0, 100.0]
STRINGS = np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else object  # of NumPy 2
LABELS = NAMES[SPECIES]
WEIGHTS = (np.arange(len(X)) % 4).astype(float)
N = len(X)


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=6, m=3, niter=10, scale="standard").fit(X)


@pytest.fixture(scope="module")
def complete(igtm):
    return IGTM(k=6, m=3, niter=10, scale="standard", model="complete").fit(X).transform(X)


@pytest.fixture(scope="module")
def R(complete):  # noqa: N802
    return complete.matR


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    array = zarr.create_array(
        tmp_path_factory.mktemp("zarr") / "x", shape=X.shape, dtype=float, chunks=(40, 4)
    )
    array[...] = X
    return array


# Against ugtm


def test_a_fit_of_ugtm_has_the_same_landscapes():
    theirs = ugtm.eIGTM(k=6, m=3, niter=10, model="complete").fit(X).transform(X)
    ours = eIGTM(k=6, m=3, niter=10, tol=0).fit(X)
    mean = landscape.property(ours, X, SIZES[:, 0]).values[:, 0]
    assert_allclose(mean, ugtm_landscape.landscape(theirs, SIZES[:, 0]), rtol=1e-8)
    for prior in ("estimated", "equiprobable"):
        found = landscape.classes(ours, X, LABELS, prior=prior).values
        assert_allclose(found, ugtm_landscape.classMap(theirs, LABELS, prior).nodeClassP, atol=1e-8)


def test_the_landscape_of_the_same_responsibilities_is_ugtms(igtm, complete):
    found = landscape.property(igtm, X, SIZES)
    for column in range(3):
        expected = ugtm_landscape.landscape(complete, SIZES[:, column])
        assert_allclose(found.values[:, 3 * column], expected, rtol=1e-12)


# Against dense NumPy


def test_density(igtm, R):
    found = landscape.density(igtm, X)
    assert found.columns == ("density", "support")
    assert found.summary == {"n_rows": pytest.approx(N)}
    assert_allclose(found.values, np.column_stack([R.mean(axis=0), R.sum(axis=0)]), rtol=1e-10)
    assert_array_equal(found.nodes, igtm.nodes_)


@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_standard_deviations_do_not_cancel(igtm, R, offset):
    found = landscape.property(igtm, X, SIZES[:, 0] + offset)
    mean, std = dense_mean_and_std(R, SIZES[:, 0])
    assert_allclose(found.values[:, 0], mean + offset, rtol=1e-12)
    assert_allclose(found.values[:, 1], std, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_nodes_are_empty_from_where_all_of_them_are_less_than_rounding(igtm, dtype):
    sharp = copy.copy(igtm)
    sharp.model_ = dataclasses.replace(igtm.model_, beta_inv=2e-2)
    rows = X[:5].astype(dtype)
    nearest = dense_e_step(rows, sharp.model_).row.below.max(axis=0)
    edge = np.log(np.finfo(dtype).eps / 36)
    assert (np.abs(nearest - edge) > 1e-3).all()
    assert 3 < np.count_nonzero(nearest > edge) < 33
    for found in (
        landscape.density(sharp, rows),
        landscape.property(sharp, rows, np.arange(5.0)),
        landscape.classes(sharp, rows, np.arange(5)),
    ):
        assert_array_equal(found.support > 0, nearest > edge)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_node_without_rows_has_the_mean_and_std_of_all(igtm, dtype):
    sharp = copy.copy(igtm)
    sharp.model_ = dataclasses.replace(igtm.model_, beta_inv=1e-3)
    one_place = np.repeat(X[:1], 200, axis=0).astype(dtype)
    y = np.arange(200.0)
    found = landscape.property(sharp, one_place, y)
    empty = found.support == 0
    assert empty.any()
    assert_allclose(found.values[empty, :2], [[y.mean(), y.std()]] * empty.sum())
    found = landscape.classes(sharp, one_place, y > 20)
    assert_array_equal(found.values[empty], 0.5)
    assert_allclose(found.values[~empty], [[0.105, 0.895]] * (~empty).sum())


def test_values_that_are_nan_do_not_count(igtm, R):
    y = np.where(np.arange(3 * N).reshape(N, 3) % 5 == 0, np.nan, SIZES)
    found = landscape.property(igtm, X, y)
    assert found.columns[3:6] == ("y1_mean", "y1_std", "y1_support")
    for column in range(3):
        seen = ~np.isnan(y[:, column])
        mean, std = dense_mean_and_std(R[seen], y[seen, column])
        expected = np.column_stack([mean, std, R[seen].sum(axis=0)])
        assert_allclose(found.values[:, 3 * column : 3 * column + 3], expected, rtol=1e-8)
        assert found.summary[f"y{column}_n_rows"] == pytest.approx(seen.sum())
    empty = landscape.property(igtm, X, np.column_stack([SIZES[:, 0], np.full(N, np.nan)])).values
    assert np.isnan(empty[:, 3:5]).all()


def test_weights_of_several_sets_go_by_their_names(igtm):
    often = np.repeat(np.arange(N), WEIGHTS.astype(int))
    lazy = da.from_array(X, chunks=(40, 4))
    weighted = {"reference": WEIGHTS, "query": WEIGHTS[::-1]}
    one = landscape.coverage(igtm, X, lazy, sample_weight=weighted)
    other = landscape.coverage(igtm, X[often], np.repeat(X, WEIGHTS[::-1].astype(int), axis=0))
    assert_allclose(one.values, other.values, rtol=1e-10)
    assert_allclose(one.support, other.support, rtol=1e-10)
    assert one.summary == pytest.approx(other.summary)
    assert one.summary != pytest.approx(landscape.coverage(igtm, X, X).summary)

    sets = {"a": X, "b": lazy, "c": X[:50]}
    weighted = {"b": da.from_array(WEIGHTS, chunks=30), "c": WEIGHTS[:50]}
    one = landscape.compare(igtm, sets, sample_weight=weighted)
    other = landscape.compare(igtm, {"a": X, "b": X[often], "c": X[often[often < 50]]})
    assert_allclose(one.values, other.values, rtol=1e-10)
    assert_allclose(one.support, other.support, rtol=1e-10)
    assert one.summary == pytest.approx(other.summary)
    queries = {name: sets[name] for name in "bc"}
    one = landscape.coverage(igtm, X, queries, sample_weight={"c": WEIGHTS[:50]})
    other = landscape.coverage(igtm, X, queries | {"c": X[often[often < 50]]})
    assert_allclose(one.values, other.values, rtol=1e-10)


def test_weights_of_sets_that_are_not_there_are_refused(igtm):
    with pytest.raises(TypeError, match=r"ndarray; give a dict of the names \['reference', 'query'\]"):
        landscape.coverage(igtm, X, X, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match=r"weights of \['query'\]; there are rows of \['reference', 'a'\]"):
        landscape.coverage(igtm, X, {"a": X}, sample_weight={"query": WEIGHTS})
    with pytest.raises(ValueError, match=r"weights of \['reference'\]; there are rows of \['a'\]"):
        landscape.compare(igtm, {"a": X}, sample_weight={"reference": WEIGHTS})
    with pytest.raises(ValueError, match="No row counts"):
        landscape.compare(igtm, {"a": X}, sample_weight={"a": np.zeros(N)})
    with pytest.raises(ValueError, match="negative"):
        landscape.compare(igtm, {"a": X}, sample_weight={"a": -WEIGHTS})


def test_weights_count_rows(igtm):
    often = np.repeat(np.arange(N), WEIGHTS.astype(int))
    for one, other in (
        (landscape.density(igtm, X, WEIGHTS), landscape.density(igtm, X[often])),
        (landscape.property(igtm, X, SIZES, WEIGHTS), landscape.property(igtm, X[often], SIZES[often])),
        (
            landscape.classes(igtm, X, LABELS, sample_weight=WEIGHTS),
            landscape.classes(igtm, X[often], LABELS[often]),
        ),
    ):
        assert_allclose(one.values, other.values, rtol=1e-8, atol=1e-12)
        assert_allclose(one.support, other.support, rtol=1e-9)


def test_gaps_are_marginalised(igtm):
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    holed[0] = np.nan  # weighs nothing
    model = IGTM(k=5, m=3, niter=5, scale="standard", missing="marginalize", model="responsibilities").fit(
        holed
    )
    R = model.transform(holed)[1:]
    found = landscape.property(model, holed, SIZES[:, 0])
    mean, std = dense_mean_and_std(R, SIZES[1:, 0])
    assert_allclose(found.values, np.column_stack([mean, std, R.sum(axis=0)]), rtol=1e-8)
    expected = np.stack([R[SPECIES[1:] == c].sum(axis=0) for c in range(3)], axis=1)
    expected /= expected.sum(axis=1, keepdims=True)
    assert_allclose(landscape.classes(model, holed, LABELS).values, expected, atol=1e-12)


def test_single_precision_rows_are_summed_in_double(igtm):
    many, y, labels = np.tile(X, (40, 1)).astype(np.float32), np.tile(SIZES[:, 0], 40), np.tile(LABELS, 40)
    assert landscape.density(igtm, many).summary["n_rows"] == pytest.approx(len(many), rel=1e-7)
    for one, other in (
        (landscape.property(igtm, many, y), landscape.property(igtm, X, SIZES[:, 0])),
        (landscape.classes(igtm, many, labels), landscape.classes(igtm, X, LABELS)),
    ):
        assert one.support.dtype == one.values.dtype == np.float64
        assert_allclose(one.support, 40 * other.support, rtol=1e-3)
        assert_allclose(one.values[:, :2], other.values[:, :2], atol=1e-3)


# Classes


def test_a_prior_of_ones_own(igtm, R):
    prior = {"setosa": 2.0, "versicolor": 1.0, "virginica": 1.0}
    likelihood = np.stack([R[name == LABELS].mean(axis=0) for name in NAMES], axis=1)
    joint = likelihood * [0.5, 0.25, 0.25]
    found = landscape.classes(igtm, X, LABELS, prior)
    assert_allclose(found.values, joint / joint.sum(axis=1, keepdims=True), atol=1e-12)
    assert_allclose(found.support, R.sum(axis=0), rtol=1e-10)


@pytest.mark.parametrize(
    ("labels", "columns"),
    [
        (LABELS, ("setosa", "versicolor", "virginica")),
        (LABELS.astype(object), ("setosa", "versicolor", "virginica")),
        (LABELS.astype(STRINGS), ("setosa", "versicolor", "virginica")),
        (pd.Series(LABELS), ("setosa", "versicolor", "virginica")),
        (pd.Series(LABELS, dtype="string"), ("setosa", "versicolor", "virginica")),
        (pd.Series(LABELS, dtype="category"), ("setosa", "versicolor", "virginica")),
        (dd.from_pandas(pd.Series(LABELS), npartitions=2), ("setosa", "versicolor", "virginica")),
        (LABELS.tolist(), ("setosa", "versicolor", "virginica")),
        (5 * SPECIES - 7, (-7, -2, 3)),
        ((5 * SPECIES).astype(object), (0, 5, 10)),
        (SPECIES.astype(float), (0.0, 1.0, 2.0)),
        (SPECIES == 1, (False, True)),
    ],
)
def test_labels_keep_their_type_and_come_back_from_a_file(igtm, tmp_path, labels, columns):
    found = landscape.classes(igtm, X, labels)
    assert found.columns == columns
    found.save(tmp_path / "classes")
    back = landscape.load_landscape(tmp_path / "classes")
    assert back.columns == columns
    assert [type(name) for name in back.columns] == [type(name) for name in columns]
    if len(columns) == 3:
        assert_allclose(found.values, landscape.classes(igtm, X, LABELS).values, atol=1e-12)


def test_classes_are_in_the_order_of_categories(igtm):
    order = ["virginica", "none of them", "setosa", "versicolor"]
    kept = ("virginica", "setosa", "versicolor")
    series = pd.Series(pd.Categorical(LABELS, order))
    in_order = [
        series,
        series.array,
        pd.Index(series),
        dd.from_pandas(series, npartitions=2),
        pl.Series(LABELS.tolist(), dtype=pl.Enum(order)),
    ]
    expected = landscape.classes(igtm, X, LABELS)
    for labels in in_order:
        found = landscape.classes(igtm, X, labels)
        assert found.columns == kept
        assert_allclose(found.values, expected.values[:, [2, 0, 1]], atol=1e-12)
    in_none = [
        dd.from_pandas(series, npartitions=2).cat.as_unknown(),
        pl.Series(LABELS.tolist(), dtype=pl.Categorical),
    ]
    for labels in in_none:
        assert landscape.classes(igtm, X, labels).columns == tuple(NAMES)
    numbers = pd.Categorical(5 * SPECIES, [10, 7, 0, 5])
    assert landscape.classes(igtm, X, numbers).columns == (10, 0, 5)
    predictor = IGTMClassifier(k=6, m=3, niter=2, scale="standard").fit(X, series)
    assert predictor.landscape_.columns == tuple(NAMES)


def test_the_order_of_lazy_categories_is_known_before_they_are_read():
    labels = dd.from_pandas(pd.Series(pd.Categorical(LABELS, NAMES[::-1])), npartitions=2)
    with dask.config.set(scheduler=computing):
        assert category_order(labels) == tuple(NAMES[::-1])
        assert category_order(labels.cat.as_unknown()) is None
        assert category_order(labels.to_frame()) == tuple(NAMES[::-1])


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA], ids=["None", "NaN", "NA"])
def test_rows_without_a_label_do_not_count(igtm, missing):
    labels = LABELS.astype(object)
    labels[::3] = missing
    kept = np.arange(N) % 3 != 0
    found = landscape.classes(igtm, X, labels)
    assert found.columns == tuple(NAMES)
    assert_allclose(found.values, landscape.classes(igtm, X[kept], LABELS[kept]).values, atol=1e-12)


def test_labels_are_found_block_by_block(igtm):
    in_order = da.from_array(LABELS, chunks=50)  # each block has another class
    lazy = da.from_array(X, chunks=(50, -1))
    found = landscape.classes(igtm, lazy, in_order)
    assert found.columns == tuple(NAMES)
    assert_allclose(found.values, landscape.classes(igtm, X, LABELS).values, atol=1e-12)


# Coverage, comparison


def test_coverage_is_the_share_of_rows_on_supported_nodes(igtm, R):
    setosa = SPECIES == 0
    queries = {"all": X, "others": da.from_array(X[~setosa], chunks=(30, -1))}
    found = landscape.coverage(igtm, X[setosa], queries)
    assert found.columns == ("all", "others", "reference")
    supported = R[setosa].sum(axis=0) >= 1
    assert found.summary["all"] == pytest.approx(R[:, supported].sum() / N)
    assert found.summary["others"] == pytest.approx(R[~setosa][:, supported].sum() / 100)
    expected = [R.mean(axis=0), R[~setosa].mean(axis=0), R[setosa].mean(axis=0)]
    assert_allclose(found.values, np.transpose(expected), rtol=1e-8, atol=1e-15)
    assert_allclose(found.support, R[setosa].sum(axis=0), rtol=1e-8, atol=1e-12)
    assert landscape.coverage(igtm, X, X, min_support=0.0).summary["query"] == pytest.approx(1.0)
    assert landscape.coverage(igtm, X, X, min_support=N + 1.0).summary["query"] == 0


def test_coverage_knows_what_its_picture_needs(igtm):
    queries = {"all": X, "others": X[50:]}
    weights = {"others": np.full(100, 0.5)}
    found = landscape.coverage(igtm, X[:50], queries, min_support=0.25, sample_weight=weights)
    figures = {"n_rows": 50, "min_support": 0.25, "all_n_rows": 150, "others_n_rows": 50}
    assert {name: found.summary[name] for name in figures} == pytest.approx(figures)
    assert set(found.summary) == {*figures, *queries}


def test_sets_are_compared_in_one_pass(igtm, R):
    sets = {name: da.from_array(X[name == LABELS], chunks=(20, -1)) for name in NAMES.tolist()}
    with Computes() as computes:
        found = landscape.compare(igtm, sets)
    assert computes.count == 1
    assert found.columns == tuple(NAMES)
    expected = [R[name == LABELS].mean(axis=0) for name in NAMES]
    assert_allclose(found.values, np.transpose(expected), rtol=1e-8, atol=1e-15)
    assert_allclose(found.support, R.sum(axis=0), rtol=1e-8)
    assert found.summary == {name: pytest.approx(50) for name in NAMES}


# Where the rows are


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_any_chunks_give_the_same_totals(igtm, data):
    cuts = data.draw(st.lists(st.integers(1, N - 1), max_size=6, unique=True).map(sorted))
    chunks = tuple(np.diff([0, *cuts, N]).tolist())
    lazy, other = da.from_array(X, chunks=(chunks, -1)), data.draw(st.integers(1, N))
    found = landscape.property(igtm, lazy, da.from_array(SIZES, chunks=(other, 2)))
    assert_allclose(found.values, landscape.property(igtm, X, SIZES).values, rtol=1e-9)
    found = landscape.classes(igtm, lazy, da.from_array(LABELS, chunks=other))
    assert_allclose(found.values, landscape.classes(igtm, X, LABELS).values, atol=1e-12)


@pytest.mark.parametrize("kind", ["zarr", "path", "frame", "dask frame", "xarray", "csr chunks"])
def test_all_kinds_of_tables(igtm, stored, kind):
    frame = pd.DataFrame(X)
    table = {
        "zarr": stored,
        "path": str(stored.store_path).removeprefix("file://"),
        "frame": frame,
        "dask frame": dd.from_pandas(frame, npartitions=3),
        "xarray": xr.DataArray(da.from_array(X, chunks=(70, 4))),
        "csr chunks": da.from_array(X, chunks=(70, 4)).map_blocks(sparse.csr_matrix),
    }[kind]
    y = dd.from_pandas(pd.Series(SIZES[:, 0]), npartitions=3) if kind == "dask frame" else SIZES[:, 0]
    assert_allclose(
        landscape.property(igtm, table, y).values, landscape.property(igtm, X, SIZES[:, 0]).values, rtol=1e-9
    )


def test_names_of_values_come_from_the_table(igtm):
    frame = pd.DataFrame(SIZES[:, :2], columns=["length", "width"])
    expected = tuple(f"{name}_{word}" for name in frame for word in ("mean", "std", "support"))
    assert landscape.property(igtm, X, frame).columns == expected
    lazy = dd.from_pandas(frame, npartitions=2)
    assert landscape.property(igtm, dd.from_pandas(pd.DataFrame(X), npartitions=2), lazy).columns == expected
    array = xr.DataArray(SIZES[:, :2], dims=("row", "size"), coords={"size": ["length", "width"]})
    assert landscape.property(igtm, X, array).columns == expected
    assert landscape.property(igtm, X, frame[["width"]]).columns == ("mean", "std", "support")


def test_lazy_rows_and_values_are_read_a_block_at_a_time(igtm):
    held, largest = [0], [0]

    def note(block):
        held[0] += 1
        largest[0] = max(largest[0], len(block))
        return block

    lazy = da.from_array(X, chunks=(30, -1)).map_blocks(note, meta=np.empty((0, 0)), dtype=float)
    y = da.from_array(SIZES, chunks=(30, -1)).map_blocks(note, meta=np.empty((0, 0)), dtype=float)
    landscape.property(igtm, lazy, y)
    assert (held, largest) == ([10], [30])


@pytest.mark.parametrize("name", ["density", "property", "classes", "coverage", "compare", "magnification"])
def test_rows_in_memory_never_meet_the_scheduler_of_dask_config(igtm, name):
    arguments = {
        "density": (X,),
        "property": (X, SIZES),
        "classes": (X, LABELS),
        "coverage": (X, X),
        "compare": ({"a": X, "b": X},),
        "magnification": (),
    }[name]
    with dask.config.set(scheduler=computing):
        found = getattr(landscape, name)(igtm, *arguments)
    assert found.kind == name


def test_a_loaded_map_has_the_same_landscape(igtm, tmp_path):
    igtm.save(tmp_path / "model")
    back = landscape.property(load(tmp_path / "model"), X, SIZES)
    assert back.values.tobytes() == landscape.property(igtm, X, SIZES).values.tobytes()


def test_a_predictor_has_the_landscapes_of_its_map():
    predictor = IGTMRegressor(k=6, m=3, niter=10, scale="standard").fit(X, SIZES)
    expected = predictor.landscape_
    assert_array_equal(landscape.property(predictor, X, SIZES).values, expected.values)
    assert_array_equal(landscape.magnification(predictor).nodes, expected.nodes)


# What is refused


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda igtm: landscape.property(igtm, X, SIZES[:7]), "one value a row"),
        (lambda igtm: landscape.property(igtm, X, LABELS), "labels to classes"),
        (lambda igtm: landscape.property(igtm, X, LABELS.astype(object)), "labels to classes"),
        (lambda igtm: landscape.property(igtm, X, 1j * SIZES), "not a real number"),
        (lambda igtm: landscape.property(igtm, X, np.where(SIZES > 1, np.inf, 0)), "infinite"),
        (lambda igtm: landscape.property(igtm, X, np.full(N, np.nan)), "No row counts"),
        (lambda igtm: landscape.density(igtm, X, np.zeros(N)), "No row counts"),
        (lambda igtm: landscape.density(igtm, X, -np.ones(N)), "give weights >= 0"),
        (lambda igtm: landscape.density(igtm, X[:, :2]), "features"),
        (lambda igtm: landscape.density(igtm, X * np.nan), "NaN"),
        (lambda igtm: landscape.classes(igtm, X, SIZES[:, 0]), "fractions"),
        (lambda igtm: landscape.classes(igtm, X, SIZES), "one label a row"),
        (lambda igtm: landscape.classes(igtm, X, 1j * SIZES[:, 0]), "dtype complex128"),
        (lambda igtm: landscape.classes(igtm, X, np.array([1, "a"] * 75, object)), "several types"),
        (lambda igtm: landscape.classes(igtm, X, LABELS, prior="flat"), "give one of"),
        (lambda igtm: landscape.classes(igtm, X, LABELS, prior={"setosa": 1.0}), "a number for each"),
        (lambda igtm: landscape.classes(igtm, X, LABELS, prior=dict.fromkeys(NAMES.tolist(), 0)), ">= 0"),
        (lambda igtm: landscape.classes(igtm, np.tile(X, (70, 1)), np.arange(70 * N)), "more than 10000"),
        (lambda igtm: landscape.compare(igtm, {3: X}), "give each a string"),
        (lambda igtm: landscape.coverage(igtm, X, {"reference": X}), "none of"),
        (lambda igtm: landscape.coverage(igtm, X, {"min_support": X}), "none of"),
        (lambda igtm: landscape.coverage(igtm, X, {"a": X, "a_n_rows": X}), "rows of 'a'; rename one"),
    ],
)
def test_what_cannot_be_used_is_refused(igtm, call, match):
    with pytest.raises(ValueError, match=match):
        call(igtm)


@pytest.mark.parametrize("min_support", [-1, np.nan, "many"])
def test_support_is_checked(igtm, min_support):
    with pytest.raises(ValueError, match=r"min_support=.*give a finite number >= 0"):
        landscape.coverage(igtm, X, X, min_support=min_support)


def test_too_many_labels_are_refused_before_they_take_memory(igtm, monkeypatch):
    monkeypatch.setattr(node_sums, "weighted_tiles", computing)
    with pytest.raises(ValueError, match="more than 10000"):
        node_sums.class_totals(np.tile(X, (70, 1)), None, np.arange(70 * N), igtm.model_, "numpy")


def test_other_errors(igtm, tmp_path):
    with pytest.raises(NotFittedError):
        landscape.magnification(IGTM())
    with pytest.raises(TypeError, match="dict of names"):
        landscape.compare(igtm, X)
    for function in (landscape.property, landscape.classes):
        with pytest.raises(ValueError, match="the target y is None"):
            function(igtm, X, None)
    odd = landscape.Landscape("classes", igtm.nodes_, (None, "a"), np.zeros((36, 2)))
    with pytest.raises(TypeError, match="cannot be saved"):
        odd.save(tmp_path / "odd")


@pytest.mark.filterwarnings("ignore:The data type:Warning")  # of strings, which Zarr has yet to settle
@pytest.mark.parametrize("values", [SIZES[:, 0], LABELS], ids=["numbers", "labels"])
def test_a_lost_chunk_of_what_goes_with_the_rows_is_an_error_and_not_zeros(igtm, tmp_path, values):
    stored = zarr.create_array(tmp_path / "y", shape=len(X), dtype=values.dtype, chunks=(50,))
    stored[:] = values
    function = landscape.property if values.dtype.kind == "f" else landscape.classes
    found = function(igtm, X, str(tmp_path / "y"))
    assert_allclose(found.values, function(igtm, X, values).values, rtol=1e-12)
    (tmp_path / "y" / "c" / "2").unlink()
    for lazy in (X, da.from_array(X, chunks=(40, 4))):
        with pytest.raises(FileNotFoundError, match="not stored"):
            function(igtm, lazy, tmp_path / "y")


def test_a_dataset_is_one_set_of_rows_and_no_dict_of_them():
    values = X[:60].reshape(6, 10, -1)
    cube = xr.Dataset({f"v{i}": (("lat", "lon"), values[..., i]) for i in range(values.shape[2])})
    igtm = IGTM(k=4, m=2, niter=2, scale="center", solver="em").fit(cube)
    one = landscape.coverage(igtm, cube, cube)
    assert one.columns == ("query", "reference")
    assert_allclose(one.values[:, 0], one.values[:, 1])
    with pytest.raises(TypeError, match="dict of names to tables"):
        landscape.compare(igtm, cube)


def test_a_search_is_no_map_and_says_where_it_is():
    search = IGTMSearch(IGTM(k=4, m=2, niter=2, scale="center"), {"k": [3]}, cv=2).fit(X)
    with pytest.raises(TypeError, match=r"IGTMSearch is a search; give .*best_estimator_"):
        landscape.density(search, X)
    assert landscape.density(search.best_estimator_, X).values.shape == (9, 2)


# Of an atlas


@pytest.fixture(scope="module")
def atlas():
    igtm = IGTM(k=4, m=2, niter=6, scale="standard", solver="em")
    found = IGTMAtlas(igtm, n_regions=2, min_samples=20, validation_fraction=0.3).fit(X)
    assert len(found.maps_) > 2
    return found


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("kind", ["density", "property", "classes"])
def test_landscapes_of_an_atlas_are_those_of_its_maps_by_their_paths(atlas, kind, lazy, weights):
    function = getattr(landscape, kind)
    y = {"density": (), "property": (SIZES,), "classes": (LABELS,)}[kind]
    given = da.from_array(X, chunks=(40, -1)) if lazy else X
    found = function(atlas, given, *y, sample_weight=weights)
    assert list(found) == atlas.tree_.names
    paths = atlas.decision_path(X).toarray() * (np.ones(N) if weights is None else weights)[:, None]
    for number, (igtm, one) in enumerate(zip(atlas.maps_, found.values(), strict=True)):
        alone = function(igtm, X, *y, sample_weight=paths[:, number])
        assert one.columns == alone.columns
        assert_allclose(one.values, alone.values, rtol=1e-8, atol=1e-12)
        assert_allclose(one.support, alone.support, rtol=1e-8, atol=1e-12)


def test_landscapes_of_all_maps_take_one_pass(atlas):
    lazy, computed = counting(np.tile(X, (2, 1)))
    with dask.config.set(scheduler="synchronous"):
        landscape.density(atlas, lazy)
    assert sorted(computed) == [0, 1, 2]


def test_maps_on_which_no_row_lies_have_no_landscape(atlas):
    own = atlas.tree_.maps[0]
    region = next(region for region, child in enumerate(own.children) if child > 0)
    weight = (atlas.decision_path(X).toarray()[:, own.children[region]] < 1e-12).astype(float)
    assert 0 < weight.sum() < N
    away = {name for name in atlas.tree_.names if name.startswith(f"root/{region}")}
    assert set(landscape.density(atlas, X, weight)) <= set(atlas.tree_.names) - away
    with pytest.raises(ValueError, match="No row counts"):
        landscape.density(atlas, X, np.zeros(N))
