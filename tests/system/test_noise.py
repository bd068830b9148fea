"""Every family of noise from a table to what is done with its map: it works, or says why not."""

import functools
import pickle
import re

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.csr_groups import zarr_csr
from helpers.data import holed
from helpers.errors import assert_says, raised
from helpers.families import FAMILIES, WHOLE, rows_of
from helpers.inputs import KINDS, all_kinds
from helpers.lazy import Computes
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats
from scipy.special import expit, logsumexp
from sklearn.base import clone

from dask_igtm import (
    IGTM,
    IGTMClassifier,
    IGTMRegressor,
    IGTMSearch,
    eIGTM,
    landscape,
    load,
    plot,
    quality,
    report,
    runIGTM,
    saturation,
)

SETTINGS = {"k": 5, "m": 3, "niter": 6, "tol": 0}
OUTPUTS = (
    "means",
    "modes",
    "node",
    "top_nodes",
    "top_responsibilities",
    "responsibilities",
    "relative",
    "entropy",
    "log_likelihood",
    "deviance",
)
every_family = pytest.mark.parametrize("family", FAMILIES)
every_whole = pytest.mark.parametrize("family", WHOLE)


def igtm(family, **parameters):
    return IGTM(**SETTINGS | FAMILIES[family] | parameters)


def lazy(X, chunk=100):
    return da.from_array(X, chunks=(chunk, -1))


@functools.cache
def rows(family):
    return rows_of(family)


@functools.cache
def fitted(family):
    return igtm(family).fit(rows(family))


def bits(estimator):
    arrays = (estimator.weights_, estimator.beta_inv_, estimator.history_, estimator.history_shares_)
    return [np.asarray(array).tobytes() for array in arrays], estimator.log_likelihood_, estimator.n_passes_


def assert_same_fit(one, other, rtol=1e-9):
    atol = rtol * np.abs(other.weights_).max()
    assert_allclose(one.weights_, other.weights_, rtol=0, atol=atol)
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=rtol)
    assert_allclose(one.log_likelihood_, other.log_likelihood_, rtol=rtol)


def log_likelihoods(family, igtm, X):
    """ln p(x) of each row by the definition of the family, from what a map shows of its nodes."""
    X, centers = X[:, None], igtm.centers_
    if family == "diagonal":
        terms = stats.norm(centers, np.sqrt(igtm.noise_variance_)).logpdf(X)
    elif family == "bernoulli":
        terms = stats.bernoulli(centers).logpmf(X)
    elif family == "poisson":
        terms = stats.poisson(centers).logpmf(X)
    else:
        terms = stats.poisson(centers * X.sum(axis=-1, keepdims=True)).logpmf(X)
    return logsumexp(terms.sum(axis=-1), axis=1) - np.log(len(centers))


# What a fit takes


@every_family
def test_likelihoods_are_those_of_the_family(family):
    X, model = rows(family), fitted(family)
    expected = log_likelihoods(family, model, X)
    assert_allclose(model.score_samples(X), expected, rtol=1e-9)
    assert_allclose(model.score(X), expected.mean(), rtol=1e-9)
    assert model.log_likelihood_ == model.score(X)
    assert_allclose(igtm(family, niter=7).fit(X).history_[-1], expected.mean(), rtol=1e-9)


@every_family
@pytest.mark.parametrize("kind", KINDS)
def test_rows_in_every_container(family, kind, tmp_path):
    X, expected = rows(family), fitted(family)
    given = all_kinds(X, tmp_path)[kind]
    model = igtm(family).fit(given)
    assert_same_fit(model, expected)
    assert_allclose(np.asarray(model.transform(given)), expected.transform(X), atol=1e-8)
    assert_allclose(model.score(given), model.log_likelihood_, rtol=1e-12)


@every_family
def test_a_stored_csr_group(family, tmp_path):
    X = rows(family)
    zarr_csr(tmp_path / "x.zarr", sparse.csr_array(X))
    assert_same_fit(igtm(family).fit(tmp_path / "x.zarr"), fitted(family))


@pytest.mark.parametrize(
    ("family", "dtype"),
    [("bernoulli", dtype) for dtype in ("bool", "uint8", "int64", "float32")]
    + [(family, dtype) for family in ("poisson", "total") for dtype in ("uint16", "int64", "float32")],
)
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, lazy])
def test_whole_numbers_of_every_type(family, dtype, form):
    X = rows(family)
    model = igtm(family).fit(form(X.astype(dtype)))
    assert_same_fit(model, fitted(family), rtol=1e-4)
    assert_allclose(model.score(X), model.log_likelihood_, rtol=1e-6)


@pytest.mark.parametrize("form", ["pandas", "nullable", "dask", "parquet", "csv"])
@every_whole
def test_frames_of_bool_and_whole_numbers(family, form, tmp_path):
    X = rows(family)
    frame = pd.DataFrame(X, columns=[f"gene {i}" for i in range(X.shape[1])]).astype("int64")
    if family == "bernoulli":
        frame = frame.astype(dict.fromkeys(frame.columns[::2], "bool"))
    frame.to_parquet(tmp_path / "x.parquet")
    frame.to_csv(tmp_path / "x.csv", index=False)
    given = {
        "pandas": frame,
        "nullable": frame.convert_dtypes(),
        "parquet": tmp_path / "x.parquet",
        "csv": tmp_path / "x.csv",
    }
    if form == "dask":
        given["dask"] = pytest.importorskip("dask.dataframe").from_pandas(frame, npartitions=3)
    model = igtm(family).fit(given[form])
    assert_same_fit(model, fitted(family), rtol=1e-4)
    assert model.feature_names_in_.tolist() == frame.columns.tolist()
    assert model.centers_table().columns.tolist() == ["x1", "x2", *frame.columns]


@every_family
def test_weights_count_rows_as_often(family):
    X, weight = rows(family), np.random.default_rng(0).integers(0, 3, 300)
    model = igtm(family).fit(X, sample_weight=weight.astype(float))
    assert_same_fit(model, igtm(family).fit(np.repeat(X, weight, axis=0)), rtol=1e-8)
    assert_allclose(model.score(X, sample_weight=weight), model.log_likelihood_, rtol=1e-12)


@every_family
def test_empty_rows_are_kept_and_change_nothing(family):
    X = rows(family).copy()
    X[::10] = np.nan
    there = ~np.isnan(X[:, 0])
    model = igtm(family, keep_empty_rows=True).fit(lazy(X))
    assert_same_fit(model, igtm(family).fit(X[there]))
    assert np.array_equal(np.isnan(model.transform(X)[:, 0]), ~there)
    assert_allclose(model.score(X), model.log_likelihood_, rtol=1e-12)


@every_whole
def test_a_row_of_nothing_but_0_is_a_row(family):
    X = rows(family).copy()
    X[:3] = 0
    model = igtm(family).fit(X)
    assert np.isfinite(model.transform(X)).all()
    if family == "total":  # of which nothing is known
        assert_allclose(model.score_samples(X[:3]), 0, atol=1e-12)


@every_family
def test_the_scheduler_changes_no_bit(family):
    X, found = lazy(rows(family), 37), []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            model = igtm(family).fit(X)
            found.append([*bits(model), model.transform(X).compute().tobytes()])
    assert found[0] == found[1]


@pytest.mark.slow
@every_family
def test_processes_change_no_bit(family):
    X = lazy(rows(family))
    with dask.config.set(scheduler="processes", num_workers=2):
        found = bits(igtm(family).fit(X))
    assert found == bits(igtm(family).fit(X))


@every_family
@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_passes_are_counted_as_they_are_made(family, solver):
    made = []

    def note(block):
        made.append(len(block))
        return block

    X = lazy(rows(family)).map_blocks(note, dtype=float, meta=np.empty((0, 0)))
    model = igtm(family, solver=solver, persist=False)
    assert model.estimate(X).n_passes == model.fit(X).n_passes_ + 1  # that of the moments
    assert sum(made) == 300 * (model.n_passes_ + 1)
    made.clear()
    search = IGTMSearch(model, {"k": [4, 5]}, cv=2, refit=False).fit(X)
    assert sum(made) == 300 * (search.n_passes_ + 1)


@every_whole
def test_wide_rows_find_their_plane_in_passes_that_are_counted(family):
    X, made = rows_of(family, 300, 1100), []

    def note(block):
        made.append(len(block))
        return block

    noted = lazy(X).map_blocks(note, dtype=float, meta=np.empty((0, 0)))
    model = igtm(family, niter=3, persist=False).fit(noted)
    assert model.n_passes_ > 3 + 2
    assert sum(made) == 300 * (model.n_passes_ + 1)
    other = igtm(family, niter=3).fit(sparse.csr_array(X))
    assert_allclose(other.log_likelihood_, model.log_likelihood_, rtol=1e-7)
    assert np.abs(model.transform(X)).max(axis=0).min() > 0.5


@every_whole
def test_rows_that_change_during_a_fit_are_noticed(family):
    """A fit that reads other rows in its last iterations."""
    reads = []

    def changing(block):
        reads.append(len(block))
        return block[:, ::-1] if sum(reads) > 6 * 300 else block

    X = lazy(rows(family), 300).map_blocks(changing, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match="X has changed since the first pass: the mean of column"):
        igtm(family, persist=False).fit(X)


# What is refused


def refused(family, X=None, **parameters):
    return raised(ValueError, igtm(family, **parameters).fit, rows(family) if X is None else X)


@every_whole
@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"scale": "center"}, "give scale='auto' or None"),
        ({"scale": "standard"}, "give scale='auto' or None"),
        ({"n_components": 2}, "give n_components=None, or noise='isotropic'"),
        ({"missing": "median"}, "give missing=.*'most_frequent'"),
        ({"regul": "auto"}, "give regul a number"),
    ],
)
def test_bits_and_counts_refuse_what_is_of_numbers(family, parameters, says):
    noise = FAMILIES[family]["noise"]
    assert_says(refused(family, **parameters), rf"noise='{noise}'", says)


def test_a_noise_a_column_refuses_axes_that_mix_columns():
    assert_says(refused("diagonal", n_components=2), "noise='diagonal'", "noise='isotropic'")


@every_whole
@pytest.mark.parametrize("wrong", [0.5, -1.0])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array, lazy])
def test_entries_of_another_kind_are_refused_by_their_column(family, wrong, form):
    X = rows(family).copy()
    X[[7, 250], 3] = wrong
    noise = FAMILIES[family]["noise"]
    assert_says(refused(family, form(X)), f"noise='{noise}'", r"\bcolumn 3\b", "another noise")
    model = fitted(family)
    assert_says(raised(ValueError, lambda: np.asarray(model.transform(form(X)))), r"\bcolumn 3\b")
    assert_says(raised(ValueError, igtm(family).fit(rows(family)).partial_fit, form(X)), r"\bcolumn 3\b")


def test_an_exposure_is_of_counts_alone():
    for family in ("diagonal", "bernoulli"):
        assert_says(refused(family, exposure="total"), "give noise='poisson', or exposure=None")
    assert_says(refused("total", missing="marginalize"), "give exposure=None, or missing='constant'")
    assert_says(raised(ValueError, fitted("total").impute, rows("total")), "exposure=None to impute")
    assert_says(refused("poisson", exposure="sum"), "exposure='sum'; give one of")
    assert_says(refused("poisson", noise="gaussian"), "noise='gaussian'; give one of")


# What a map says of rows


@every_family
def test_all_outputs_lazily_and_in_memory(family):
    X, model = rows(family), fitted(family)
    with Computes() as computes:
        described = model.describe(lazy(X), OUTPUTS, top=3)
        answers = [model.transform(lazy(X)), model.score_samples(lazy(X)), model.applicability(lazy(X))]
        answers.append(model.inverse_transform(described["responsibilities"]))
        if family != "total":
            answers.append(model.impute(lazy(X)))
        assert computes.count == 0
        model.applicability(lazy(X), reference=lazy(X))
        model.score(lazy(X))
        assert computes.count == 2
    assert all(answer.shape[0] == len(X) for answer in answers)
    expected = model.describe(X, OUTPUTS, top=3)
    for name, values in dask.compute(described)[0].items():
        assert np.isfinite(expected[name]).all(), name
        assert_allclose(values, expected[name], atol=1e-9, err_msg=name)
    assert (expected["deviance"] >= 0).all()
    assert_allclose(expected["responsibilities"].sum(axis=1), 1)


@every_family
def test_the_domain_of_a_map(family):
    X, model = rows(family), fitted(family)
    assert model.applicability(X, 1.0).all()
    assert abs(model.applicability(X, 0.8).mean() - 0.8) < 0.02
    assert_array_equal(model.applicability(X, 0.8, reference=X), model.applicability(X, 0.8))
    # Bits that are the opposite, and columns in another order, are no rows of this sheet.
    other = 1 - X if family == "bernoulli" else X[:, ::-1]
    assert model.applicability(other).mean() < 0.9


@every_family
def test_quality(family):
    X, model = rows(family), fitted(family)
    found = quality(model, X)
    n_parameters = model.weights_.size + (X.shape[1] if family == "diagonal" else 0)
    assert_allclose(found.log_likelihood, model.log_likelihood_)
    assert_allclose(found.bic, n_parameters * np.log(300) - 2 * 300 * model.log_likelihood_)
    assert found.trustworthiness > 0.7
    assert_allclose(quality(model, sparse.csr_array(X)).trustworthiness, found.trustworthiness, atol=1e-3)


@every_family
def test_rows_are_drawn_as_the_noise_says(family):
    model = fitted(family)
    drawn = model.sample(20000)
    assert_array_equal(drawn, model.sample(20000))
    mean, spread = model.centers_, model.noise_variance_
    if family == "total":
        total = rows(family).sum(axis=1).mean()
        mean, spread = total * mean, total * mean.mean(axis=0)
    assert_allclose(drawn.mean(axis=0), mean.mean(axis=0), rtol=0.05, atol=0.05)
    assert_allclose(drawn.var(axis=0), mean.var(axis=0) + spread, rtol=0.15)
    if family == "bernoulli":
        assert set(np.unique(drawn)) == {0.0, 1.0}
    elif family != "diagonal":
        assert (drawn == np.floor(drawn)).all()
        assert drawn.min() == 0


@pytest.mark.parametrize("family", ["diagonal", "bernoulli", "poisson"])
def test_gaps_are_filled_by_expectations(family):
    X = rows(family)
    gaps, model = holed(X, 0.1), fitted(family)
    filled = model.impute(gaps)
    seen = ~np.isnan(gaps)
    assert_array_equal(filled[seen], X[seen])
    # By hand, for a row with one gap: its posterior is that of the other columns.
    alone = np.where(np.arange(X.shape[1]) == 2, np.nan, X[:5])
    marginal = igtm(family, missing="marginalize", niter=0).fit(X, init=model)
    R = marginal.set_params(model="responsibilities").transform(alone)
    assert_allclose(model.impute(alone)[:, 2], (R @ model.centers_)[:, 2], rtol=1e-9)
    if family == "bernoulli":
        assert ((filled >= 0) & (filled <= 1)).all()
    baseline = np.broadcast_to(np.nanmean(gaps, axis=0), X.shape)[~seen]
    assert np.square(filled[~seen] - X[~seen]).mean() < np.square(baseline - X[~seen]).mean()


@every_family
def test_tables_and_projections(family, tmp_path):
    X, model = rows(family), fitted(family)
    means = model.transform(X)
    table = model.table(pd.DataFrame(X, index=[f"row {i}" for i in range(300)]))
    assert_allclose(table[["x1", "x2"]], means, atol=1e-9)
    model.write_table(lazy(X), tmp_path / "x.csv")
    assert_allclose(pd.read_csv(tmp_path / "x.csv")[["x1", "x2"]], means, atol=1e-9)
    group = model.project_to_zarr(lazy(X), tmp_path / "x.zarr")
    assert_allclose(group["means"][:], means, atol=1e-9)
    model.project_to_zarr(lazy(X), tmp_path / "x.zarr")  # which is complete
    if family == "total":
        return
    other = "total" if family == "poisson" else "poisson"
    X = np.abs(np.floor(X))
    with pytest.raises(ValueError, match="is another one: model was"):
        igtm(other).fit(X).project_to_zarr(lazy(X), tmp_path / "x.zarr")


@every_family
def test_landscapes(family):
    X, model = rows(family), fitted(family)
    labels = np.where(X[:, 0] > X[:, 0].mean(), "high", "low")
    found = [
        landscape.classes(model, X, labels),
        landscape.property(model, X, X[:, :2]),
        landscape.density(model, X),
        landscape.magnification(model),
        landscape.compare(model, {"first": X[:100], "rest": X[100:]}),
        landscape.coverage(model, X[:100], X[100:]),
    ]
    assert all(np.isfinite(one.values).all() for one in found)
    members = landscape.members(model, X, top=3)
    R = model.describe(X, ("responsibilities",))["responsibilities"]
    assert_allclose(members["probability"], R[members["row"], members["node"]], rtol=1e-6)


@every_family
def test_markers_are_the_columns_that_differ_most_in_their_noise(family):
    X, model = rows(family), fitted(family)
    region = np.arange(len(model.nodes_)) < 10
    found = landscape.markers(model, n=3, region=region)
    value, rest = model.centers_[region].mean(axis=0), model.centers_[~region].mean(axis=0)
    difference = (value - rest) / np.sqrt(model.noise_variance_)
    best = np.argsort(-np.abs(difference), kind="stable")[:3]
    assert found["column"].tolist() == best.tolist()
    expected = np.column_stack([value, rest, difference])[best]
    assert_allclose(found[["value", "rest", "difference"]], expected, rtol=1e-8)
    assert len(landscape.markers(model, X, n=3)) == 3 * len(model.nodes_)


@every_family
def test_pictures(family, tmp_path):
    X, model = rows(family), fitted(family)
    for chart in (plot.components(model), plot.components(model, columns=[0, 3]), plot.projection(model, X)):
        chart.to_dict()
    report(model, X, tmp_path / "map.html")
    page = (tmp_path / "map.html").read_text()
    assert re.search(f">Noise</th><td[^>]*>{FAMILIES[family]['noise']}</td>", page)
    assert ("Mean noise variance of a column, in" in page) == (family == "diagonal")
    assert ("oise variance" in page) == (family == "diagonal")


# Predictors, searches and saturation


@every_family
def test_predictors(family, tmp_path):
    X, new = rows(family), rows_of(family, seed=9)
    y = X[:, 0] + X[:, 1]
    labels = np.where(y > np.median(y), "high", "low")
    parameters = SETTINGS | FAMILIES[family]
    classifier = IGTMClassifier(**parameters).fit(lazy(X), labels, checkpoint=tmp_path / "fit.npz")
    again = IGTMClassifier(**parameters).fit(lazy(X), labels, checkpoint=tmp_path / "fit.npz")
    regressor = IGTMRegressor(**parameters).fit(X, y)
    assert bits(again.igtm_) == bits(classifier.igtm_)
    assert classifier.score(X, labels) > 0.7
    assert regressor.score(X, y) > 0.2
    for predictor in (classifier, regressor):
        predictor.save(tmp_path / "predictor.npz")
        assert_array_equal(load(tmp_path / "predictor.npz").predict(new), predictor.predict(new))


@pytest.mark.filterwarnings("ignore:.*collapse:UserWarning")
@every_family
def test_a_search_and_its_checkpoint(family, tmp_path):
    X, grid = lazy(rows(family)), {"regul": [0.1, 1e4], "k": [4, 5]}
    search = IGTMSearch(igtm(family), grid, cv=2).fit(X, checkpoint=tmp_path / "search.npz")
    assert search.best_params_["regul"] == 0.1
    again = IGTMSearch(igtm(family), grid, cv=2).fit(X, checkpoint=tmp_path / "search.npz")
    assert_array_equal(again.cv_results_["mean_test_score"], search.cv_results_["mean_test_score"])
    other = next(name for name in FAMILIES if name != family)
    with pytest.raises(ValueError, match="belongs to another fit"):
        IGTMSearch(igtm(other), grid, cv=2).fit(X, checkpoint=tmp_path / "search.npz")


@every_family
def test_folds_are_fitted_as_they_are_alone(family):
    """A search over one candidate against fits to what its folds hold."""
    X = rows(family)
    splits = [(np.arange(200), np.arange(200, 300)), (np.arange(100, 300), np.arange(100))]
    search = IGTMSearch(igtm(family, solver="em"), {"k": [5]}, cv=splits, refit=False).fit(X)
    for fold, (train, test) in enumerate(splits):
        alone = igtm(family, solver="em").fit(X[train]).score(X[test])
        assert_allclose(search.cv_results_[f"split{fold}_test_score"], alone, rtol=1e-8)


def trustworthy(estimator, X):
    return quality(estimator, X).trustworthiness


def test_likelihoods_of_numbers_compare_and_those_of_bits_do_not():
    grid, settings = {"noise": ["isotropic", "diagonal"]}, SETTINGS | {"niter": 3}
    numbers, bits, counts = (rows(family) for family in ("diagonal", "bernoulli", "total"))
    assert IGTMSearch(IGTM(**settings), grid, cv=2).fit(numbers).best_params_ == {"noise": "diagonal"}
    grid = {"noise": ["poisson", "bernoulli"]}  # both are probabilities
    assert IGTMSearch(IGTM(**settings), grid, cv=2).fit(bits).best_params_ == {"noise": "bernoulli"}
    grid = {"noise": ["isotropic", "bernoulli"]}
    message = raised(ValueError, IGTMSearch(IGTM(**settings), grid, cv=2).fit, bits)
    assert_says(message, "noise 'isotropic', 'bernoulli'", "densities", "Give scoring")
    poisson = IGTM(**settings, noise="poisson")
    message = raised(ValueError, IGTMSearch(poisson, {"exposure": [None, "total"]}, cv=2).fit, counts)
    assert_says(message, "exposure None, 'total'", "given its sum", "Give scoring")


@pytest.mark.parametrize(
    ("family", "grid"),
    [
        ("bernoulli", {"noise": ["isotropic", "bernoulli"]}),
        ("total", [{"noise": ["poisson"], "exposure": [None, "total"]}, {"noise": ["isotropic"]}]),
    ],
)
def test_other_scores_compare_all(family, grid):
    X, settings = rows(family), SETTINGS | {"niter": 3}
    labels = np.where(X[:, 0] > X[:, 0].mean(), "high", "low")
    found = [
        IGTMSearch(IGTM(**settings), grid, cv=2, scoring=trustworthy).fit(X),
        IGTMSearch(IGTMClassifier(**settings), grid, cv=2).fit(X, labels),
    ]
    for search in found:
        assert (search.cv_results_["mean_test_score"] > 0.5).all()


@every_family
def test_saturation(family):
    found = saturation(igtm(family), lazy(rows(family)), shares=[0.3, 1.0])
    assert np.isfinite(found.training).all()
    assert np.isfinite(found.held_out).all()


# Streams


def blocks(X, size):
    return [X[start : start + size] for start in range(0, len(X), size)]


@every_family
def test_a_stream_approaches_the_map_of_all_its_rows(family):
    X = rows_of(family, 1500)
    whole = igtm(family, niter=30, solver="em").fit(X).log_likelihood_
    stream = igtm(family).partial_fit(X[:100])
    first = stream.score(X)
    for _ in range(3):
        for block in blocks(X, 100):
            stream.partial_fit(block)
    assert stream.score(X) > whole - 0.3 * (whole - first)
    assert stream.score(X) < whole + 0.02
    assert stream.applicability(X).mean() > 0.8


@every_family
@pytest.mark.parametrize("after_fit", [False, True])
def test_a_stream_that_was_saved_goes_on_to_the_same_bits(family, after_fit, tmp_path):
    first, *rest = blocks(rows(family), 60)
    stream = (igtm(family).fit if after_fit else igtm(family).partial_fit)(first)
    stream.partial_fit(rest[0]).save(tmp_path / "stream.npz")
    again = load(tmp_path / "stream.npz")
    for block in rest[1:]:
        stream.partial_fit(block)
        again.partial_fit(block)
    assert bits(again) == bits(stream)
    assert again.deviance_.tobytes() == stream.deviance_.tobytes()


@every_family
def test_blocks_of_a_stream_in_other_containers(family):
    X, found = rows(family), []
    for form in (np.asarray, lazy, sparse.csr_array):
        stream = igtm(family)
        for block in blocks(X, 100):
            stream.partial_fit(form(block))
        found.append(stream)
    assert_same_fit(found[1], found[0])
    assert_same_fit(found[2], found[0])


@pytest.mark.parametrize("family", ["bernoulli", "poisson"])
def test_a_stream_with_gaps(family):
    X = rows(family)
    stream = igtm(family, missing="marginalize")
    for block in blocks(holed(X, 0.1), 100):
        stream.partial_fit(block)
    assert stream.score(X) > igtm(family, niter=0).fit(X).log_likelihood_ - 1


# Checkpoints and files


@every_family
@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_fit_cut_after_any_iteration_goes_on_to_the_same_bits(family, solver, tmp_path):
    X, model = lazy(rows(family)), igtm(family, solver=solver, niter=8)
    expected = bits(clone(model).fit(X))
    for stop in range(1, 9):
        path = tmp_path / f"{stop}.npz"
        cut = clone(model).fit(X, checkpoint=path, callbacks=[lambda event, stop=stop: event.number == stop])
        assert cut.n_iter_ == stop
        assert bits(clone(model).fit(X, checkpoint=path)) == expected, stop


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_ridge_by_the_evidence_with_a_noise_a_column(solver, tmp_path):
    X, model = lazy(rows("diagonal")), igtm("diagonal", solver=solver, regul="auto", niter=12)
    expected = clone(model).fit(X)
    assert expected.regul_ != 0.1
    assert expected.beta_inv_.shape == (10,)
    for stop in (3, 7, 11):  # the evidence chooses from the fifth on
        path = tmp_path / f"{stop}.npz"
        clone(model).fit(X, checkpoint=path, callbacks=[lambda event, stop=stop: event.number == stop])
        assert bits(clone(model).fit(X, checkpoint=path)) == bits(expected), stop
    expected.save(tmp_path / "map.npz")
    again = load(tmp_path / "map.npz")
    assert again.regul_ == expected.regul_
    assert bits(again.partial_fit(X)) == bits(expected.partial_fit(X))
    search = IGTMSearch(model, {"regul": [0.1, "auto"]}, cv=2).fit(X)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("family", ["diagonal", "bernoulli", "total"])
def test_a_fit_that_sets_out_on_a_sample_goes_on_to_the_same_bits(family, tmp_path):
    X = lazy(rows_of(family, 12000, 6), 4000)
    model = igtm(family, k=4, m=2, niter=9, tol=1e-3)
    expected = clone(model).fit(X)
    assert expected.history_shares_.min() < 1
    n = len(expected.history_)
    for stop in (2, n - 1):
        seen, path = [], tmp_path / f"{stop}.npz"

        def cut(event, seen=seen, stop=stop):
            seen.append(event)
            return len(seen) == stop

        clone(model).fit(X, checkpoint=path, callbacks=[cut])
        assert bits(clone(model).fit(X, checkpoint=path)) == bits(expected), stop


@pytest.mark.parametrize("family", ["isotropic", *FAMILIES])
def test_a_checkpoint_is_of_one_noise(family, tmp_path):
    X, known = rows("bernoulli"), {"isotropic": {}} | FAMILIES
    IGTM(**SETTINGS | known[family]).fit(X, checkpoint=tmp_path / "fit.npz")
    for name, parameters in known.items():
        if name != family:
            fit = IGTM(**SETTINGS | parameters).fit
            message = raised(ValueError, fit, X, checkpoint=tmp_path / "fit.npz")
            told = "exposure" if {name, family} == {"poisson", "total"} else "noise"
            before, now = ({"noise": "isotropic", "exposure": None} | known[x] for x in (family, name))
            assert_says(message, "another fit", rf"{told} was {before[told]!r} and is {now[told]!r}")


@every_family
def test_a_map_comes_back_from_its_file(family, tmp_path):
    X, model = rows(family), fitted(family)
    model.save(tmp_path / "map.npz")
    for again in (load(tmp_path / "map.npz"), pickle.loads(pickle.dumps(model))):
        assert again.get_params() == model.get_params()
        assert bits(again) == bits(model)
        for name, values in model.describe(X, OUTPUTS).items():
            assert again.describe(X, OUTPUTS)[name].tobytes() == values.tobytes(), name
        assert again.sample(9).tobytes() == model.sample(9).tobytes()
        assert_array_equal(again.applicability(X, 0.9), model.applicability(X, 0.9))


@every_family
def test_a_fit_sets_out_from_a_map_of_the_same_noise(family):
    X, model = rows(family), fitted(family)
    again = igtm(family, solver="em", niter=1).fit(X, init=model)
    assert_allclose(again.history_[0], model.log_likelihood_, rtol=1e-9)
    for name, parameters in {"isotropic": {}, **FAMILIES}.items():
        if name != family and not (family == "total" and name == "diagonal"):
            told = "exposed" if {name, family} == {"poisson", "total"} else "noise"
            rows_of_both = np.minimum(np.abs(np.floor(X)), 1)
            fit = IGTM(**SETTINGS | parameters).fit
            assert_says(raised(ValueError, fit, rows_of_both, init=model), "another kind", rf"{told}[\w ]*: ")


def test_a_map_knows_the_exposure_of_the_rows_of_its_own_fit():
    X = rows("total")
    longer = igtm("total", niter=1).fit(10 * X, init=fitted("total"))
    assert_allclose(longer.sample(2000).sum(axis=1).mean(), 10 * X.sum(axis=1).mean(), rtol=0.02)


# By ugtm's names


@every_family
def test_ugtms_names(family):
    X = rows(family)
    model = eIGTM(**SETTINGS | FAMILIES[family], model="complete").fit(X)
    ours = model.transform(X)
    assert_allclose(ours.matW @ model.model_.basis.phi.T, ours.matY, atol=1e-12)
    means = {"diagonal": np.asarray, "bernoulli": expit}.get(family, np.exp)
    assert_allclose(means(ours.matY.T), model.centers_, rtol=1e-9)
    assert np.shape(ours.betaInv) == ((X.shape[1],) if family == "diagonal" else ())
    assert_allclose(ours.matR.sum(axis=1), 1)
    assert not hasattr(runIGTM(X, k=4, m=2, niter=2), "noise")  # which is ugtm's, and isotropic


def test_a_zarr_array_of_bits_is_read_as_it_is_stored(tmp_path):
    X = rows("bernoulli").astype(bool)
    stored = zarr.create_array(tmp_path / "bits.zarr", data=X, chunks=(100, 10))
    model = igtm("bernoulli").fit(stored)
    assert_same_fit(model, fitted("bernoulli"), rtol=1e-4)
    assert model.project_to_zarr(stored, tmp_path / "map.zarr").attrs["dask_igtm"]["complete"]
