"""Bad input gets an error that says what came, what was expected and what to do."""

import re

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from sklearn.exceptions import NotFittedError

from dask_igtm import IGTM, runIGTM

N = 300
ROWS_METHODS = ["transform", "score_samples", "score"]


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


def computing(*_args, **_kwargs):
    raise AssertionError("something was computed")


def raised(kind, call, *args, **kwargs):
    """Return all that the error of a call says, notes included."""
    with pytest.raises(kind) as error:
        call(*args, **kwargs)
    return "\n".join([str(error.value), *getattr(error.value, "__notes__", [])])


def assert_says(message, *patterns):
    for pattern in patterns:
        assert re.search(pattern, message, re.IGNORECASE), f"{pattern!r} is not in {message!r}"


def compute(result):
    return result.compute() if isinstance(result, da.Array) else result


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


# Gaps


@pytest.fixture(params=[np.nan, np.inf, -np.inf], ids=str)
def gaps(request, X):
    """Give rows with three bad entries in column 2, all in rows 200:300."""
    rows = X.copy()
    rows[[250, 251, 299], 2] = request.param
    return rows


GAPS = (r"nan|inf", r"\b3\b", r"column 2\b", r"fill|drop|impute")


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_fit_names_column_and_count_of_gaps(gaps, convert):
    assert_says(raised(ValueError, igtm().fit, convert(gaps)), *GAPS)


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_fit_counts_gaps_over_all_blocks_and_columns(X, convert):
    rows = X.copy()
    rows[[5, 150], 1] = np.nan
    rows[[6, 151, 250, 251], 4] = np.inf
    message = raised(ValueError, igtm().fit, convert(rows))
    assert_says(message, r"2 in column 1\b|column 1\b.*\b2\b", r"4 in column 4\b|column 4\b.*\b4\b")


@pytest.mark.parametrize("method", ROWS_METHODS)
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_row_results_name_column_count_and_row_range_of_gaps(fitted, gaps, convert, method):
    message = raised(ValueError, lambda: compute(getattr(fitted, method)(convert(gaps))))
    assert_says(message, *GAPS, "rows 200:300" if convert is lazy else "rows 0:300")


@pytest.mark.parametrize(("convert", "good"), [(np.asarray, 250), (lazy, 200)], ids=["eager", "lazy"])
def test_transform_blocks_yields_good_blocks_and_names_the_range_of_the_bad_one(fitted, gaps, convert, good):
    """The chunks of a dask array stay whole, so that none is computed twice."""
    generator = fitted.transform_blocks(convert(gaps), block_size=50)
    assert sum(len(next(generator)) for _ in range(good // 50)) == good
    assert_says(raised(ValueError, next, generator), *GAPS, f"rows {good}:300")


def test_gaps_in_chunks_of_unknown_size_are_named(fitted, gaps):
    rows = lazy(gaps)
    rows = rows[da.abs(rows[:, 0]) >= 0]
    assert_says(raised(ValueError, igtm().fit, rows), *GAPS)
    assert_says(raised(ValueError, fitted.transform(rows).compute), *GAPS)


def test_runigtm_refuses_gaps_where_it_is_told_to(X):
    rows = X.copy()
    rows[250, 2] = np.nan
    for given in (rows, lazy(rows)):
        message = raised(ValueError, runIGTM, given, k=6, m=3, niter=3, missing=False)
        assert_says(message, r"nan|gap|missing", r"fill|drop|impute")


# Errors inside a block


@pytest.mark.parametrize("kind", [OSError, KeyError, ZeroDivisionError])
@pytest.mark.parametrize("call", ["fit", "fit_transform", "score", "transform_blocks"])
def test_an_error_inside_a_block_surfaces_with_its_type_and_row_range(fitted, X, kind, call):
    def broken(block, block_id):
        if block_id[0] == 2:
            raise kind("the disk is gone")
        return block

    rows = lazy(X).map_blocks(broken, dtype=float, meta=np.empty((0, 0)))
    method = getattr(igtm() if call.startswith("fit") else fitted, call)
    if call == "transform_blocks":
        message = raised(kind, lambda: list(method(rows)))
    else:
        message = raised(kind, method, rows)
    assert_says(message, "the disk is gone", "rows 200:300")


def test_an_error_of_a_damaged_chunk_surfaces_with_its_row_range(fitted, X, tmp_path):
    rows = zarr.create_array(tmp_path / "rows.zarr", data=X, chunks=(100, 5))
    (tmp_path / "rows.zarr" / "c" / "2" / "0").write_bytes(b"damaged")
    generator = fitted.transform_blocks(rows, block_size=100)
    for _ in range(2):
        next(generator)
    assert_says(raised(Exception, next, generator), "rows 200:300")
    assert_says(raised(Exception, igtm().fit, rows), r"rows \d+:300")


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


def test_inverse_transform_of_a_wrong_shape_says_what_it_takes(fitted):
    for R in (np.ones((3, 5)), np.ones(36), np.ones((2, 3, 36)), da.ones((3, 2)), da.ones((3, 37))):
        message = raised(ValueError, fitted.inverse_transform, R)
        assert_says(message, re.escape(str(R.shape)), r"\(n, 36\)", "responsibilities")


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


# Parameters

PARAMETERS = [
    *[{name: -1} for name in ("k", "m", "s", "regul", "niter", "tol", "n_blocks")],
    *[{name: 2.5} for name in ("k", "m", "niter", "n_blocks")],
    *[{name: "4"} for name in ("k", "m", "s", "regul", "niter", "tol", "n_blocks")],
    *[{name: None} for name in ("k", "m", "s", "regul", "niter", "tol", "n_blocks")],
    *[{name: value} for name in ("s", "regul", "tol") for value in (np.nan, np.inf)],
    {"model": "x"},
    {"model": None},
    {"scale": "x"},
    {"scale": True},
]


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("parameter", PARAMETERS, ids=str)
def test_wrong_parameters_are_named_before_anything_is_computed(X, parameter, convert):
    estimator = igtm(**parameter)  # as scikit-learn wants it, the constructor checks nothing
    with dask.config.set(scheduler=computing):
        message = raised(ValueError, estimator.fit, convert(X))
    ((name, value),) = parameter.items()
    remedy = {
        "model": "'means'.*'modes'.*'responsibilities'.*'complete'",
        "scale": "None.*'center'.*'standard'",
    }
    assert_says(message, rf"\b{name}\b", re.escape(repr(value)), remedy.get(name, "give|must"))
    if name not in remedy:
        assert_says(message, ">= 0|not negative|positive", "number|integer")


@pytest.mark.parametrize("name", ["model", "scale"])
def test_a_parameter_that_is_no_string_is_named(X, name):
    assert_says(raised(ValueError, igtm(**{name: ["means"]}).fit, X), name, "means")


def test_a_model_set_after_the_fit_is_checked_by_transform(X):
    estimator = igtm().fit(X).set_params(model="x")
    for call in (estimator.transform, lambda rows: list(estimator.transform_blocks(rows))):
        for rows in (X, lazy(X)):
            assert_says(raised(ValueError, call, rows), "model='x'", "'means'.*'responsibilities'")


def test_a_failed_fit_leaves_the_estimator_unfitted(X):
    estimator = igtm(k=-1)
    raised(ValueError, estimator.fit, X)
    raised(NotFittedError, estimator.transform, X)


@pytest.mark.parametrize("parameter", [{"k": -1}, {"s": -0.1}, {"niter": 1.5}, {"n_blocks": N + 1}], ids=str)
def test_runigtm_checks_its_parameters(X, parameter):
    ((name, value),) = parameter.items()
    assert_says(raised(ValueError, runIGTM, X, **{"k": 6, **parameter}), rf"\b{name}={value}\b")


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_more_blocks_than_rows_names_both_numbers(X, convert):
    with dask.config.set(scheduler=computing):
        message = raised(ValueError, igtm(n_blocks=301).fit, convert(X))
    assert_says(message, "n_blocks=301", "300 rows", "at most|n_blocks=0|or 0")


@pytest.mark.parametrize("block_size", [-1, 2.5, "many"])
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_wrong_block_size_is_named(X, fitted, convert, block_size):
    message = raised(ValueError, lambda: list(fitted.transform_blocks(convert(X), block_size)))
    assert_says(message, re.escape(f"block_size={block_size!r}"), "give|must")


# Unknown sizes, paths, chunks


def test_unknown_chunk_sizes_where_sizes_are_needed_name_compute_chunk_sizes(X, fitted):
    rows = lazy(X)
    rows = rows[rows[:, 0] > 0]
    for name, call in {
        "n_blocks": lambda: igtm(n_blocks=2).fit(rows),
        "sample_weight": lambda: igtm().fit(rows, sample_weight=np.ones(N)),
    }.items():
        with dask.config.set(scheduler=computing):
            assert_says(raised(ValueError, call), name, "unknown", r"compute_chunk_sizes\(\)")


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "pathlib"])
@pytest.mark.parametrize("method", ["fit", "transform"])
def test_a_path_without_array_is_named(fitted, tmp_path, convert, method):
    path = tmp_path / "nothing.zarr"
    message = raised(FileNotFoundError, getattr(fitted, method), convert(path))
    assert_says(message, re.escape(str(path)), "path")
    assert not path.exists()


def test_a_path_of_something_else_is_named(fitted, tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("1,2,3,4,5\n")
    assert_says(raised((ValueError, OSError), fitted.transform, str(path)), re.escape(str(path)), "zarr")


@pytest.mark.parametrize("convert", [str, lambda path: path], ids=["str", "pathlib"])
def test_a_path_of_a_group_names_its_arrays(X, tmp_path, convert):
    group = zarr.open_group(tmp_path / "group.zarr", mode="w")
    for name in ("rows", "labels"):
        group.create_array(name, shape=X.shape, dtype=X.dtype)
    message = raised(TypeError, igtm().fit, convert(tmp_path / "group.zarr"))
    assert_says(message, "group", r"\brows\b", r"\blabels\b", "give the path")


def test_a_masked_array_is_refused(X):
    assert_says(raised(TypeError, igtm().fit, np.ma.masked_array(X)), "masked", "filled")


def test_a_group_names_its_arrays(X):
    group = zarr.open_group(zarr.storage.MemoryStore(), mode="w")
    group.create_array("rows", shape=X.shape, dtype=X.dtype)
    assert_says(raised(TypeError, igtm().fit, group), "group", r"\brows\b")


@pytest.mark.parametrize(
    "size", [{"shape": (10**8, 5), "chunks": (10**8, 5)}, {"shape": (2 * 10**5, 5), "chunks": (10, 5)}]
)
def test_chunks_of_a_wrong_size_get_a_warning_whose_remedy_works(fitted, size):
    rows = da.zeros(**size)
    with dask.config.set(scheduler=computing):
        with pytest.warns(UserWarning, match="chunk.*rechunk") as warned:
            fitted.transform(rows)
        assert len(warned) == 1
        remedy = re.search(r"rechunk\(\{0: (\d+)\}\)", str(warned[0].message))
        fitted.transform(rows.rechunk({0: int(remedy[1])}))


# Weights

WEIGHTS = {
    "negative": (np.r_[np.ones(N - 1), -1], "negative|>= 0"),
    "NaN": (np.r_[np.ones(N - 1), np.nan], "nan|finite"),
    "inf": (np.r_[np.ones(N - 1), np.inf], "inf|finite"),
    "short": (np.ones(200), r"200.*300|300.*200"),
    "2-D": (np.ones((N, 1)), r"1D.*2D|\(300, 1\)|\(300,\)"),
    "zero": (np.zeros(N), "non-zero|positive"),
    "text": (np.full(N, "a"), "string|numeric|text"),
}


@pytest.mark.parametrize("method", ["fit", "score"])
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
@pytest.mark.parametrize("case", WEIGHTS)
def test_wrong_sample_weights_are_named(X, fitted, case, convert, method):
    weight, pattern = WEIGHTS[case]
    estimator = igtm() if method == "fit" else fitted
    message = raised(ValueError, getattr(estimator, method), convert(X), sample_weight=convert(weight))
    assert_says(message, "weight" if case != "text" else "weight|string", pattern)
