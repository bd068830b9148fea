"""Rows that a map cannot take, and maps that are not fitted, are told before anything is computed."""

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.errors import assert_says, raised
from helpers.lazy import computing
from sklearn.exceptions import NotFittedError

from dask_igtm import IGTM

N = 300
ROWS_METHODS = ["transform", "score_samples", "score"]


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


# Shapes and types

SHAPES = {
    "text": (lambda X: X.astype(str), (r"text|string|dtype", "numeric", "convert|astype")),
    "1-D": (lambda X: X[:, 0], ("1D", "2D", "reshape")),
    "3-D": (lambda X: X.reshape(N, 5, 1), (r"3D|dim 3|\(300, 5, 1\)", r"2D|dim <= 2", "reshape")),
    "zero rows": (lambda X: X[:0], (r"0 sample|no rows", "minimum of 1|at least")),
    "zero columns": (lambda X: X[:, :0], (r"0 feature|no columns", "minimum of 1|at least")),
    "complex": (lambda X: X + 1j, ("complex", r"\breal")),
}


@pytest.mark.parametrize("method", ["fit", "transform", "score_samples", "transform_blocks", "score"])
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("case", SHAPES)
def test_wrong_shapes_and_types_are_named_before_anything_is_computed(X, fitted, case, convert, method):
    change, patterns = SHAPES[case]
    estimator = igtm() if method == "fit" else fitted
    with dask.config.set(scheduler=computing):
        message = raised(ValueError, lambda: list(getattr(estimator, method)(convert(change(X)))))
    assert_says(message, *patterns)


def test_text_among_objects_is_named():
    rows = np.array([[1, "a"], [2, "b"], [3, "c"]], dtype=object)
    assert_says(raised(ValueError, igtm().fit, rows), r"text|string|dtype", "numeric|convert|astype")
    assert_says(
        raised(ValueError, igtm().fit, lazy(rows)), r"text|string|object|dtype", "numeric|convert|astype"
    )


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("method", [*ROWS_METHODS, "transform_blocks"])
@pytest.mark.parametrize("columns", [3, 10])
def test_other_columns_than_in_fit_are_named_before_anything_is_computed(X, fitted, convert, method, columns):
    rows = convert(np.tile(X, 2)[:, :columns])
    with dask.config.set(scheduler=computing):
        message = raised(ValueError, lambda: list(getattr(fitted, method)(rows)))
    assert_says(message, rf"{columns} features", "expecting 5|5 features")


# Unfitted use


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("method", [*ROWS_METHODS, "transform_blocks"])
def test_unfitted_use_of_rows_says_to_fit(X, convert, method):
    assert_says(
        raised(NotFittedError, lambda: list(getattr(igtm(), method)(convert(X)))), r"not fitted", "fit'"
    )


def test_other_unfitted_use_says_to_fit(tmp_path):
    for call in (
        lambda: igtm().inverse_transform(np.full((2, 36), 1 / 36)),
        lambda: igtm().save(tmp_path / "model"),
        lambda: igtm().optimizedModel,
    ):
        assert_says(raised(NotFittedError, call), "not fitted", "fit'")
    assert not list(tmp_path.iterdir())


def test_unfitted_estimator_has_no_fitted_attributes():
    for name in ("centers_", "weights_", "beta_inv_", "nodes_", "noise_variance_", "scale_", "n_iter_"):
        assert not hasattr(igtm(), name)
