"""What bits and counts add up to before they have a map: by responsibilities of rows in a plane."""

import dataclasses

import numpy as np
import pytest
from helpers.data import holed
from helpers.maps import bent_map
from helpers.noises import KERNELS, NATURAL
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_e_step import dense_e_step
from scipy import sparse

from dask_igtm.model.affine import Affine
from dask_igtm.model.functions import functions_of
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.statistics.plane_rows import exposures_of, first_sums, in_plane

MARGINAL = Gaps("marginalize")
each = pytest.mark.parametrize("name", NATURAL)
with_kernels = pytest.mark.parametrize("kernel", KERNELS)


def rows_for(name, n_rows=300, n_columns=6, seed=0):
    random = np.random.default_rng(seed)
    rates = 2.0 * random.random((n_rows, n_columns)) ** 2
    rows = random.random(rates.shape) < rates / 2 if name == "bernoulli" else random.poisson(3 * rates)
    rows = rows.astype(float)
    rows[[3, 200]] = 0
    return rows


def in_their_plane(X, name):
    """Return bits as they are, and logarithms of counts of rows of the same exposure."""
    if name == "bernoulli":
        return X
    total = X.sum(axis=1, keepdims=True)
    return np.log1p(X * 20 / np.where(total > 0, total, 1) if name == "total" else X)


def plane_for(X, name, gaps=REFUSED):
    Z = in_their_plane(np.nan_to_num(X), name)
    model = bent_map(6, 3, 1.0, float(Z.var(axis=0).mean()), X.shape[1], gaps=gaps)
    return dataclasses.replace(model, affine=Affine(Z.mean(axis=0), np.ones(X.shape[1])))


@each
@with_kernels
@pytest.mark.parametrize("kind", ["f8", "f4", "u1", "csr", "csc"])
@pytest.mark.parametrize("weighted", [False, True])
def test_sums_are_those_of_rows_as_they_are(name, kernel, kind, weighted):
    X = rows_for(name)
    plane = plane_for(X, name)
    weight = np.random.default_rng(1).random(300) * (np.arange(300) % 4 > 0) if weighted else None
    rows = getattr(sparse, f"{kind}_array")(X) if kind.startswith("cs") else X.astype(kind)
    found = first_sums(rows, weight, plane, kernel, NATURAL[name])
    dense = dense_e_step(in_their_plane(X, name), plane, weight)
    R = (dense.weight[:, None] * dense.row.R).astype(float)
    functions, w = functions_of(plane.basis).values, dense.weight.astype(float)
    rtol = 1e-10 if kind in {"f8", "csr", "csc"} else 1e-5
    statistics = found.statistics
    assert_allclose(statistics.g, R.sum(axis=0), rtol=0, atol=rtol * w.sum())
    products = functions.T @ R.T @ X
    assert_allclose(statistics.functions_rx, products, rtol=0, atol=rtol * np.abs(products).max())
    assert_allclose(found.squares, w @ X**2, rtol=1e-12)
    assert not found.missing.any()
    exposed = R.T @ X.sum(axis=1) if name == "total" else R.sum(axis=0)
    assert_allclose(statistics.exposed, exposed, rtol=0, atol=rtol * exposed.sum())
    assert (statistics.exposures is not None) == (name == "total")


@with_kernels
@pytest.mark.parametrize("name", ["bernoulli", "poisson"])
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_gaps_are_filled_by_what_is_seen_of_their_columns(name, kernel, kind):
    whole = rows_for(name)
    X = holed(whole)
    X[7] = np.nan
    plane, weight = plane_for(X, name, MARGINAL), np.random.default_rng(1).random(300)
    sums = first_sums(kind(X), weight, plane, kernel, NATURAL[name])
    dense = dense_e_step(in_their_plane(X, name), plane, weight)
    R, w = (dense.weight[:, None] * dense.row.R).astype(float), dense.weight.astype(float)
    functions, unseen = functions_of(plane.basis).values, np.isnan(X)
    assert_allclose(sums.missing, functions.T @ R.T @ unseen, atol=1e-9)

    statistics, mean, deviation = sums.filled(plane)
    seen = np.where(unseen, 0, w[:, None])
    expected = (seen * np.nan_to_num(X)).sum(axis=0) / seen.sum(axis=0)
    assert_allclose(mean, expected, rtol=1e-10)
    spread = (seen * (np.nan_to_num(X) - expected) ** 2).sum(axis=0) / seen.sum(axis=0)
    assert_allclose(deviation, np.sqrt(spread), rtol=1e-9)
    filled = functions.T @ R.T @ np.where(unseen, expected, X)
    assert_allclose(statistics.functions_rx, filled, atol=1e-9 * np.abs(filled).max())
    assert_allclose(statistics.g, R.sum(axis=0), atol=1e-9)


@each
def test_blocks_add_up(name):
    X = rows_for(name)
    plane, noise = plane_for(X, name), NATURAL[name]
    whole = first_sums(X, None, plane, "numpy", noise)
    parts = [first_sums(X[i::3], None, plane, "numpy", noise) for i in range(3)]
    added = parts[0] + parts[1] + parts[2]
    assert_allclose(added.squares, whole.squares, rtol=1e-12)
    assert_allclose(added.missing, whole.missing)
    for part in ("g", "functions_rx", "exposed"):
        assert_allclose(
            getattr(added.statistics, part), getattr(whole.statistics, part), rtol=1e-9, atol=1e-9
        )


def test_gaps_that_are_filled_are_filled_before_all_else():
    X = rows_for("poisson")
    holes = X.copy()
    holes[::5, 2] = np.nan
    filled = np.where(np.isnan(holes), 4.0, holes)
    gaps = Gaps("constant", np.full(6, 4.0))
    plane, noise = plane_for(filled, "total", gaps), NATURAL["total"]
    assert_array_equal(
        exposures_of(holes, None, noise, gaps, None), exposures_of(filled, None, noise, REFUSED, None)
    )
    found, expected = (first_sums(rows, None, plane, "numpy", noise) for rows in (holes, filled))
    assert_array_equal(found.statistics.functions_rx, expected.statistics.functions_rx)
    assert not found.missing.any()


@pytest.mark.parametrize("kind", ["f8", "f4", "f2", "u1", "i8", "csr"])
def test_exposures_are_added_up_in_float64(kind):
    X = np.full((4, 900), 100.0)  # whose sums are beyond float16
    X[3] = 0
    rows = sparse.csr_array(X) if kind == "csr" else X.astype(kind)
    found = exposures_of(rows, np.array([1.0, 0.0, 0.5, 2.0]), NATURAL["total"], REFUSED, None)
    assert_array_equal(found, [1.5 * 9e4, 3.5])
    assert_array_equal(exposures_of(rows, None, NATURAL["total"], REFUSED, None), [2.7e5, 4])


@each
@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array, sparse.coo_array])
def test_rows_in_their_plane(name, kind):
    X, weight, seen = rows_for(name), np.ones(300), []
    in_plane(kind(X), weight, NATURAL[name], REFUSED, None, lambda *given: seen.append(given), "further")
    ((rows, given_weight, further),) = seen
    rows = rows.toarray() if sparse.issparse(rows) else rows
    assert_allclose(rows, in_their_plane(X, name), rtol=1e-14)
    assert given_weight is weight
    assert further == "further"


@each
def test_entries_that_are_none_are_refused_before_there_is_a_plane(name):
    X = rows_for(name)
    X[100, 4] = 0.5
    for rows in (X, sparse.csr_array(X)):
        for names, column in ((None, "column 4"), (list("abcdef"), "column 'e'")):
            with pytest.raises(ValueError, match=f"1 in {column}"):
                exposures_of(rows, None, NATURAL[name], REFUSED, names)
            with pytest.raises(ValueError, match=f"1 in {column}"):
                in_plane(rows, None, NATURAL[name], REFUSED, names, print)
