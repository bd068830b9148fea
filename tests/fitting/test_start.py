"""Where a fit sets out: from another map, or not at all from rows that say nothing."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose

from dask_igtm import IGTM, load

X = correlated(3000, 6)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "scale": "center", "tol": 0, "niter": 5, "solver": "em", **parameters})


# Warm starts


@pytest.mark.parametrize(
    "parameters", [{}, {"scale": "standard"}, {"n_components": 3}, {"scale": None}], ids=str
)
def test_a_fit_goes_on_from_another(parameters, tmp_path):
    whole, first = igtm(niter=20, **parameters).fit(X), igtm(niter=12, **parameters).fit(X)
    first.save(tmp_path / "model.npz")
    for init in (first, load(tmp_path / "model.npz")):
        second = igtm(niter=8, **parameters).fit(X, init=init)
        assert_allclose(second.centers_, whole.centers_, rtol=1e-8, atol=1e-8)
        assert_allclose(second.history_, whole.history_[12:], rtol=1e-10)
        assert second.n_iter_ == 8


def test_a_warm_start_takes_other_rows_and_automatic_sizes():
    first = igtm(k=0, m=0).fit(X)
    second = igtm(k=0, m=0, niter=2).fit(X[:500] + 0.1, init=first)
    assert second.nodes_.shape == first.nodes_.shape
    assert second.history_[0] == pytest.approx(first.score(X[:500] + 0.1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 5}, "k: 6, not 5"),
        ({"m": 2}, "m: 3, not 2"),
        ({"s": 0.5}, "width of an RBF"),
        ({"scale": "standard"}, "standardised: False, not True"),
        ({"n_components": 2}, "rotated to principal axes: False, not True"),
    ],
    ids=str,
)
def test_another_kind_of_map_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        igtm(**changed).fit(X, init=igtm().fit(X))


def test_an_init_that_is_no_map_is_refused():
    with pytest.raises(ValueError, match="number of columns: 6, not 5"):
        igtm().fit(X[:, :5], init=igtm().fit(X))
    for init in (igtm(), "model.npz"):
        with pytest.raises(TypeError, match="give a fitted IGTM"):
            igtm().fit(X, init=init)


def test_a_checkpoint_of_another_start_is_refused(tmp_path):
    init = igtm().fit(X)
    igtm().fit(X, init=init, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match="init was"):
        igtm().fit(X, checkpoint=tmp_path / "fit.npz")


ROWS = correlated(300, 5)


@pytest.mark.parametrize("missing", ["error", "mean", "median", "marginalize"])
@pytest.mark.parametrize(("factor", "message"), [(1e300, "large"), (1e150, "large"), (1e-160, "small")])
def test_values_that_do_not_square(factor, message, missing):
    for given in (ROWS * factor, da.from_array(ROWS * factor, chunks=(1, -1))):
        with pytest.raises(ValueError, match=f"too {message}.*(divide|multiply) X by a constant"):
            IGTM(missing=missing).fit(given)


@pytest.mark.parametrize("factor", [1e-100, 1e-20, 1e20, 1e90])
def test_values_that_square(factor):
    one = IGTM(k=4, m=2, niter=5, tol=0, scale="standard").fit(ROWS)
    other = IGTM(k=4, m=2, niter=5, tol=0, scale="standard").fit(ROWS * factor)
    assert_allclose(other.transform(ROWS * factor), one.transform(ROWS), atol=1e-8)


@pytest.mark.parametrize("scale", [None, "center", "standard"])
@pytest.mark.parametrize("value", [1e155, 1e300, np.finfo(np.float64).max])
def test_columns_that_do_not_square_are_named(value, scale):
    rows = ROWS.copy()
    rows[:, 1] = value  # a constant, such as what stands for gaps
    rows[7, 3] = -value
    frame = pd.DataFrame(rows, columns=list("abcde"))
    for given, names in ((rows, "column 1, column 3;"), (frame, "column 'b', column 'd';")):
        with pytest.raises(ValueError, match=names):
            IGTM(k=4, m=2, niter=1, scale=scale).fit(given)


@pytest.mark.parametrize("factor", [1e-120, 1e-200, 5e-324])
def test_tiny_columns_do_not_count_or_are_named(factor):
    rows = np.column_stack([ROWS, np.round(100 * ROWS[:, 0]) * factor])
    one, other = IGTM(k=4, m=2, niter=3).fit(ROWS), IGTM(k=4, m=2, niter=3).fit(rows)
    assert_allclose(other.transform(rows), one.transform(ROWS), atol=0.2)  # other variances, of more columns
    with pytest.raises(ValueError, match="too small to square in float64, in column 5; multiply"):
        IGTM(k=4, m=2, niter=3, scale="standard").fit(rows)


@pytest.mark.parametrize("size", [1e-100, 1e-20, 1e30, 1e50])
@pytest.mark.parametrize("missing", ["error", "marginalize"])
def test_equal_weights_of_any_size_are_those_of_rows(size, missing):
    """Rounding of the mean grows with the rows that are added, and not with their weights."""
    rows = np.column_stack([ROWS, np.full(len(ROWS), 0.1)])
    shared = {"k": 4, "m": 2, "niter": 3, "tol": 0, "scale": "standard", "regul": 0.0, "missing": missing}
    weight = np.full(len(rows), size)
    one = IGTM(**shared).fit(rows, sample_weight=np.full(len(rows), 1e4))
    other = IGTM(**shared).fit(rows, sample_weight=weight)
    assert_allclose(other.scale_, one.scale_, rtol=1e-12)
    assert_allclose(other.transform(rows), one.transform(rows), atol=1e-2)
    assert other.score(rows, sample_weight=weight) == pytest.approx(one.score(rows), rel=1e-3)


SCALES = [None, "center", "standard", "auto"]


def small(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 10, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    return rng.normal(size=(200, 5)) * [4, 3, 2, 1, 0.5] + [1, -2, 0, 3, 5]


# Few, equal or dependent rows


@pytest.mark.parametrize("scale", SCALES)
def test_one_row_is_an_error(table, scale):
    for rows in (table[:1], da.from_array(table[:1])):
        with pytest.raises(ValueError, match=r"1 sample.*at least two"):
            small(scale=scale).fit(rows)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("value", [0, 1, 0.1, -1e6 / 3, 1e-30, 1e100])
def test_constant_data_are_an_error(value, scale):
    rows = np.full((200, 5), value) * [1, 2, 3, 0.7, 0.1]
    for given in (rows, da.from_array(rows, chunks=(31, -1))):
        with pytest.raises(ValueError, match=r"rows.*equal.*differ"):
            small(scale=scale).fit(given)


@pytest.mark.parametrize("lazy", [False, True], ids=["eager", "lazy"])
@pytest.mark.parametrize("positive", [1, 100])
def test_rows_that_differ_in_weight_0_alone_are_an_error(table, positive, lazy):
    rows = np.r_[np.repeat(table[:1], 100, axis=0), table[:100]]
    weight = (np.arange(200) < positive).astype(float)
    if lazy:
        rows, weight = da.from_array(rows, chunks=(60, -1)), da.from_array(weight)
    with pytest.raises(ValueError, match=r"sample|equal|differ"):
        small().fit(rows, sample_weight=weight)
