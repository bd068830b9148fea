"""Many maps in the passes of one: each is fitted and judged as it would be by itself."""

import itertools
import pickle
import re

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from distributed import Client, LocalCluster
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, KFold, PredefinedSplit
from sklearn.utils.estimator_checks import parametrize_with_checks

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, PassEvent

N = 240
GRID = [{"k": [3, 5]}, {"m": [2], "s": [1.0], "regul": [2.0]}]
SETTINGS = {
    "plain": {},
    "accelerated": {"solver": "accelerated", "niter": 14},
    "standard": {"scale": "standard"},
    "axes": {"scale": "center", "n_components": 3},
    "automatic": {"k": 0, "m": 0},
    "evidence": {"regul": "auto", "scale": "standard", "niter": 8},
    "converging": {"niter": 200, "tol": 1e-2},
}


def igtm(**parameters):
    return IGTM(**{"k": 4, "m": 3, "niter": 4, "tol": 0, "scale": None, "solver": "em", **parameters})


class Captured:
    """A scoring that keeps what it is given."""

    def __init__(self):
        self.calls = []

    def __call__(self, estimator, X):
        self.calls.append((estimator, X))
        return estimator.score(X)


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return correlated(N, 5)


@pytest.fixture(scope="module")
def folds(X):
    """Say to which of three folds each row belongs, as the rows handed to a scoring tell it."""
    captured = Captured()
    IGTMSearch(igtm(niter=0), {"k": [2]}, scoring=captured, refit=False).fit(X)
    of = {row.tobytes(): fold for fold, (_, rows) in enumerate(captured.calls) for row in rows}
    return np.array([of[row.tobytes()] for row in X])


def by_itself(estimator, params, X, held_out, sample_weight=None):
    """Fit to all rows but some, and return that map and its likelihood of these."""
    weight = (None, None) if sample_weight is None else (sample_weight[~held_out], sample_weight[held_out])
    one = clone(estimator).set_params(**params).fit(X[~held_out], sample_weight=weight[0])
    return one, one.score(X[held_out], sample_weight=weight[1])


# The same as one by one


@pytest.mark.parametrize("name", SETTINGS)
def test_every_fit_is_the_one_it_would_be_by_itself(X, folds, name):
    estimator, captured = igtm(**SETTINGS[name]), Captured()
    search = IGTMSearch(estimator, GRID, scoring=captured, refit=False).fit(X)
    by_likelihood = IGTMSearch(estimator, GRID, refit=False).fit(X).cv_results_
    calls = iter(captured.calls)
    for fold in range(3):
        for i, params in enumerate(search.cv_results_["params"]):
            found, rows = next(calls)
            one, score = by_itself(estimator, params, X, folds == fold)
            assert found.get_params() == one.get_params()
            assert found.n_iter_ == one.n_iter_
            assert found.n_passes_ == one.n_passes_
            assert found.converged_ == one.converged_ == by_likelihood[f"split{fold}_converged"][i]
            assert_allclose(found.centers_, one.centers_, rtol=0, atol=1e-8)
            assert_allclose(found.beta_inv_, one.beta_inv_, rtol=1e-8)
            assert_allclose(found.history_, one.history_, rtol=1e-9)
            assert_allclose(found.log_likelihood_, one.log_likelihood_, rtol=1e-9)
            assert_allclose(by_likelihood[f"split{fold}_test_score"][i], score, rtol=1e-9)
            assert_array_equal(rows, X[folds == fold])
    assert next(calls, None) is None


@pytest.mark.parametrize("missing", ["marginalize", "mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
def test_gaps_are_filled_from_the_rows_of_each_fit(X, folds, missing, lazy):
    rng = np.random.default_rng(0)
    holed = np.where(rng.random(X.shape) < 0.2, np.nan, np.round(X, 1))
    holed[3] = np.nan
    weight = rng.integers(0, 4, N)
    estimator = igtm(scale="center", missing=missing)
    given = da.from_array(holed, chunks=(50, -1)) if lazy else holed
    search = IGTMSearch(estimator, {"k": [3, 4]}, refit=False).fit(given, sample_weight=weight)
    for fold in range(3):
        for i, k in enumerate((3, 4)):
            held_out = folds == fold
            if lazy:  # whose medians come from a histogram
                w = da.from_array(weight[~held_out], chunks=-1)
                one = clone(estimator).set_params(k=k).fit(da.from_array(holed[~held_out]), sample_weight=w)
                score = one.score(holed[held_out], sample_weight=weight[held_out])
            else:
                _, score = by_itself(estimator, {"k": k}, holed, held_out, weight)
            assert_allclose(search.cv_results_[f"split{fold}_test_score"][i], score, rtol=1e-8)


def test_results_are_those_of_a_grid_search(X, folds):
    # scikit-learn's, whose folds are those that were drawn here.
    theirs = GridSearchCV(igtm(), GRID, cv=PredefinedSplit(folds)).fit(X)
    ours = IGTMSearch(igtm(), GRID).fit(X)
    scores = [name for name in theirs.cv_results_ if "time" not in name]
    assert set(scores) < set(ours.cv_results_)
    for name in scores:
        one, other = ours.cv_results_[name], theirs.cv_results_[name]
        if name.startswith("param"):
            assert list(one) == list(other)
            assert_array_equal(
                np.ma.getmaskarray(np.ma.asarray(one)), np.ma.getmaskarray(np.ma.asarray(other))
            )
        else:
            assert_allclose(one, other, rtol=1e-8, atol=1e-9)
    for name in ("best_index_", "best_params_", "n_splits_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert_allclose(ours.best_score_, theirs.best_score_, rtol=1e-9)
    assert_allclose(ours.transform(X), theirs.transform(X), atol=1e-9)
    assert_allclose(ours.score(X), theirs.score(X), rtol=1e-12)
    assert_array_equal(ours.score_samples(X), theirs.best_estimator_.score_samples(X))
    every_node = np.eye(len(ours.best_estimator_.nodes_))
    assert_array_equal(ours.inverse_transform(every_node), theirs.inverse_transform(every_node))
    assert pd.DataFrame(ours.cv_results_).shape[0] == 3


def test_scores_take_weights_where_the_scoring_does(X):
    weight = np.arange(N) % 3.0
    search = IGTMSearch(igtm(), {"k": [3]}, cv=2).fit(X)
    expected = search.best_estimator_.score(X, sample_weight=weight)
    assert search.score(X, sample_weight=weight) == expected != search.score(X)
    search.set_params(scoring=Captured())
    with pytest.raises(ValueError, match="takes no sample_weight"):
        search.score(X, sample_weight=weight)


@pytest.mark.parametrize(
    "kind", ["uneven", "float32", "csr", "sparse_chunks", "zarr", "path", "frame", "numbered", "xarray"]
)
def test_folds_and_scores_do_not_depend_on_where_the_rows_come_from(X, kind, tmp_path):
    stored = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(70, 5), dtype=float)
    stored[...] = X
    lazy = da.from_array(X, chunks=((1, 99, 40, 100), -1))
    given = {
        "uneven": lazy,
        "float32": da.from_array(X.astype(np.float32), chunks=(64, -1)),
        "csr": sparse.csr_matrix(X),
        "sparse_chunks": lazy.map_blocks(sparse.csr_matrix),
        "zarr": stored,
        "path": tmp_path / "x.zarr",
        "frame": pd.DataFrame(X, columns=list("abcde")),
        "numbered": pd.DataFrame(X),
        "xarray": xr.DataArray(lazy, dims=("row", "column"), coords={"column": list("abcde")}),
    }[kind]
    rtol = 1e-4 if kind == "float32" else 1e-9
    scores = [
        IGTMSearch(igtm(niter=2), {"k": [3, 5]}, cv=2, refit=False, scoring=scoring)
        .fit(rows)
        .cv_results_["mean_test_score"]
        for scoring in (None, lambda one, held_out: one.score(held_out))
        for rows in (given, X)
    ]
    for one in scores:
        assert_allclose(one, scores[-1], rtol=rtol)


def test_same_bits_on_every_scheduler(X):
    lazy = da.from_array(X, chunks=(20, -1))
    scores = []
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            scores.append(IGTMSearch(igtm(), GRID, refit=False).fit(lazy).cv_results_["mean_test_score"])
    assert_array_equal(*scores)


@pytest.mark.slow
def test_same_bits_on_a_cluster(X):
    lazy = da.from_array(X, chunks=(20, -1))
    one = IGTMSearch(igtm(missing="median"), GRID, refit=False).fit(lazy)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        other = clone(one).fit(lazy)
    assert_array_equal(other.cv_results_["mean_test_score"], one.cv_results_["mean_test_score"])


def test_data_in_memory_never_meet_the_scheduler_of_dask_config(X):
    def refuse(*args, **kwargs):
        raise AssertionError("something was computed")

    with dask.config.set(scheduler=refuse):
        IGTMSearch(igtm(niter=1, missing="median"), {"k": [3]}, scoring=Captured()).fit(
            X, sample_weight=np.ones(N)
        )


# What is read


@pytest.fixture
def counted(X):
    """Return a dask array of three blocks, and the list to which each block adds its number when computed."""
    computed = []

    def note(block, block_id):
        computed.append(block_id[0])
        return block

    lazy = da.from_array(X, chunks=(80, -1))
    return lazy.map_blocks(note, dtype=float, meta=np.empty((0, 0))), computed


@pytest.mark.parametrize("missing", ["error", "marginalize", "median"])
@pytest.mark.parametrize("grid", [{"k": [4]}, {"k": [2, 3, 4], "regul": [0.1, 1.0], "s": [0.3, 1.0]}])
def test_reads_do_not_grow_with_candidates(counted, grid, missing):
    lazy, computed = counted
    estimator = igtm(persist=False, niter=5, missing=missing)
    search = IGTMSearch(estimator, grid, refit=False).fit(lazy)
    assert search.n_passes_ == 5 + 1
    fills = 3 * 2 if missing == "median" else 0  # of each fold, its ranges and its histograms
    assert len(computed) == 3 * (fills + 1 + search.n_passes_)


def test_what_is_kept_is_read_once_and_the_refit_reads_by_itself(counted):
    lazy, computed = counted
    IGTMSearch(igtm(persist=True), {"k": [2, 3]}, refit=False).fit(lazy)
    assert len(computed) == 3
    search = IGTMSearch(igtm(persist=False), {"k": [2, 3]}).fit(lazy)
    assert search.best_estimator_.n_passes_ == 4 + 1
    assert len(computed) == 3 + 3 * (1 + 4 + 1) + 3 * (1 + 4 + 1)


def test_accelerated_candidates_know_the_curvature(monkeypatch):
    rows, grid = bent_sheet(26_000), {"m": [3, 4]}
    estimator = igtm(k=6, scale="standard", solver="accelerated", niter=150, tol=1e-4)
    found = IGTMSearch(estimator, grid, refit=False).fit(rows)
    assert found.n_passes_ % 1 > 0
    again = IGTMSearch(estimator, grid, refit=False).fit(da.from_array(rows, chunks=(7_000, 5)))
    assert_allclose(again.best_score_, found.best_score_, atol=1e-4)
    monkeypatch.setattr("dask_igtm.fitting.fit_many.draw_beside", lambda *_: None)
    without = IGTMSearch(estimator, grid, refit=False).fit(rows)
    assert found.n_passes_ < without.n_passes_
    assert found.best_score_ > without.best_score_ - 0.01


def bent_sheet(n_rows):
    rng = np.random.default_rng(0)
    latent = rng.uniform(-1, 1, (n_rows, 2))
    bent = np.column_stack([latent, np.sin(3 * latent), latent.prod(axis=1)])
    return bent + 0.1 * rng.normal(size=bent.shape)


def test_rows_for_a_scoring_are_lazy_where_those_given_are(counted):
    lazy, computed = counted
    captured = []
    search = IGTMSearch(
        igtm(persist=False, niter=0), {"k": [2, 3]}, scoring=lambda _, rows: captured.append(rows) or 1.0
    )
    search.set_params(refit=False).fit(lazy)
    assert len(computed) == 3 * (1 + 1)
    assert all(isinstance(rows, da.Array) for rows in captured)
    assert sum(len(rows.compute()) for rows in captured[::2]) == N


def test_random_state_draws_the_folds(X):
    def scores(random_state, of_map=1234):
        search = IGTMSearch(
            igtm(random_state=of_map, niter=0), {"k": [3]}, cv=2, refit=False, random_state=random_state
        )
        return search.fit(X).cv_results_["split0_test_score"][0]

    assert scores(1) == scores(1) == scores(np.random.RandomState(1))
    assert scores(1) != scores(2)
    assert scores(None, of_map=2) == scores(2)


# scikit-learn's manners


@pytest.mark.filterwarnings("ignore:.*The (map|column means):UserWarning")
@parametrize_with_checks([IGTMSearch(IGTM(k=3, m=2, niter=1), {"regul": [0.1, 1.0]}, cv=2)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_parameters_of_the_map_are_parameters_of_the_search():
    search = IGTMSearch(igtm(), GRID, cv=4, scoring=len, refit=False, random_state=3)
    assert search.get_params()["estimator__k"] == 4
    assert clone(search).set_params(estimator__k=7).estimator.k == 7
    assert search.estimator.k == 4


def test_a_search_pickles_to_kilobytes(X):
    search = IGTMSearch(igtm(), GRID).fit(X)
    pickled = pickle.dumps(search)
    assert len(pickled) < 20_000
    assert_array_equal(pickle.loads(pickled).transform(X), search.transform(X))


def test_names_of_columns_reach_the_scoring_and_the_best(X):
    frame, captured = pd.DataFrame(X, columns=list("abcde"), index=np.arange(N) + 7), Captured()
    search = IGTMSearch(igtm(), {"k": [3]}, scoring=captured).fit(frame)
    assert [list(rows.columns) for _, rows in captured.calls] == [list("abcde")] * 3
    assert list(search.feature_names_in_) == list(search.best_estimator_.feature_names_in_) == list("abcde")
    assert search.score(frame) == search.best_estimator_.score(frame)
    assert len(captured.calls) == 4


def test_a_score_that_is_nan_ranks_last(X):
    search = IGTMSearch(igtm(), {"k": [2, 3, 4]}, scoring=lambda one, _: {2: np.nan, 3: 1, 4: 2}[one.k])
    search.set_params(refit=False).fit(X)
    assert search.cv_results_["rank_test_score"].tolist() == [3, 2, 1]
    assert search.best_params_ == {"k": 4}


def test_without_refit_there_is_no_best_map(X):
    search = IGTMSearch(igtm(), {"k": [2]}).fit(X)
    search.set_params(refit=False).fit(X)
    assert not hasattr(search, "best_estimator_")
    with pytest.raises(AttributeError, match="refit=True"):
        search.transform(X)


def test_fit_transform_of_lazy_rows_is_lazy(X):
    positions = IGTMSearch(igtm(), {"k": [3]}).fit_transform(da.from_array(X, chunks=(50, -1)))
    assert isinstance(positions, da.Array)


# What is refused, and what is warned of


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        (
            {"param_grid": {"persist": [True], "k": [3]}},
            ValueError,
            r"'persist'.*k, m, s, regul, scale.*GridSearchCV",
        ),
        ({"param_grid": {"regul": ["auto"]}, "estimator": igtm(scale=None)}, ValueError, r"regul='auto'"),
        ({"param_grid": {"k": [-1]}}, ValueError, "k=-1"),
        ({"param_grid": {"k": [3]}, "cv": 1}, ValueError, "cv=1"),
        ({"param_grid": {"k": [3]}, "scoring": "accuracy"}, TypeError, "callable"),
        ({"param_grid": {"k": [3]}, "refit": "k"}, TypeError, "refit='k'"),
        ({"param_grid": {"k": [3]}, "estimator": PredefinedSplit([0])}, TypeError, "GridSearchCV"),
        ({"param_grid": {"k": [3]}, "estimator": igtm(n_components=9)}, ValueError, "n_components=9"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(X, parameters, error, message):
    with pytest.raises(error, match=message):
        IGTMSearch(**{"estimator": igtm(), **parameters}).fit(X)


def test_unknown_chunk_sizes_are_refused_with_the_remedy(X):
    lazy = da.from_array(X, chunks=(50, -1))
    with pytest.raises(ValueError, match=r"IGTMSearch.*compute_chunk_sizes"):
        IGTMSearch(igtm(), {"k": [3]}).fit(lazy[lazy[:, 0] > 0])


def test_bad_entries_are_counted_in_all_rows_before_the_first_iteration(counted, X):
    lazy, computed = counted
    holed = da.where(da.isin(lazy, X[::20, 2]), np.nan, lazy)
    search = IGTMSearch(igtm(persist=False), {"k": [3]})
    with pytest.raises(ValueError, match="12 in column 2"):
        search.fit(holed)
    assert len(computed) == 3
    assert not hasattr(search, "n_features_in_")


def test_nothing_held_out_is_refused(X):
    with pytest.raises(ValueError, match=r"held out.*random_state"):
        IGTMSearch(igtm(), {"k": [3]}, cv=20).fit(X[:25])
    with pytest.raises(ValueError, match="n_samples=3, too few"):
        IGTMSearch(igtm(), {"k": [3]}, cv=4).fit(X[:3])


def test_an_error_names_its_candidate(X):
    with pytest.raises(ValueError, match=r"s=0") as caught:
        IGTMSearch(igtm(), {"k": [3], "m": [2, 1], "s": [0]}).fit(X)
    assert any("k=3, m=1, s=0" in note for note in caught.value.__notes__)


def test_a_collapse_is_warned_of_by_name_once(X):
    search = IGTMSearch(igtm(niter=100, tol=1e-3), {"regul": [0.1, 1e6]}, refit=False)
    with pytest.warns(UserWarning, match="collapse") as caught:
        search.fit(X)
    messages = [str(warning.message) for warning in caught]
    assert [re.split(": the|: its", message)[0] for message in messages] == [
        "regul=1000000.0: The map may collapse onto one point",
        "regul=1000000.0: The map has collapsed onto one point",
    ]
    assert {warning.filename for warning in caught} == {__file__}
    assert not any(search.cv_results_[f"split{fold}_converged"][1] for fold in range(3))
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert search.best_params_ == {"regul": 0.1}


def test_a_search_has_no_sample_to_search_on():
    search = IGTMSearch(IGTM(solver="sampled"), {"k": [3, 4]}, cv=2)
    with pytest.raises(ValueError, match="give solver='accelerated' to search"):
        search.fit(correlated(60, 3))


# What cannot share passes


APART = {
    "scale": {"scale": ["center", "standard", None], "k": [3, 4]},
    "solver": {"solver": ["em", "accelerated"]},
    "length": {"niter": [2, 5], "tol": [0, 1e-2], "regul": [0.1, 1.0]},
}


@pytest.mark.parametrize("name", APART)
def test_candidates_that_share_no_passes_go_one_after_the_other(X, folds, name):
    ours = IGTMSearch(igtm(), APART[name], refit=False).fit(X)
    theirs = GridSearchCV(igtm(), APART[name], cv=PredefinedSplit(folds), refit=False).fit(X)
    assert ours.cv_results_["params"] == theirs.cv_results_["params"]
    for fold in range(3):
        score = f"split{fold}_test_score"
        assert_allclose(ours.cv_results_[score], theirs.cv_results_[score], rtol=1e-8)


def test_candidates_share_passes_whatever_draws_their_samples(X):
    estimator = igtm(random_state=None, solver="accelerated")
    search = IGTMSearch(estimator, {"k": [3, 4]}, refit=False).fit(X)
    assert search.n_passes_ == 4 + 1


def test_what_comes_later_is_checked_before_the_first_pass(counted):
    lazy, computed = counted
    for grid, message in (
        ({"solver": ["em", "sampled"]}, "give solver='accelerated'"),
        ({"scale": ["center", None], "n_components": [9]}, "n_components=9"),
    ):
        with pytest.raises(ValueError, match=message):
            IGTMSearch(igtm(), grid).fit(lazy)
    assert not computed


def test_passes_of_groups_add_up(counted):
    lazy, computed = counted
    search = IGTMSearch(igtm(persist=False), {"scale": ["center", "standard"], "k": [3, 4]}, refit=False)
    search.fit(lazy)
    assert search.n_passes_ == 2 * (4 + 1)
    assert len(computed) == 3 * 2 * (1 + 4 + 1)


@pytest.mark.parametrize(("name", "values"), [("n_components", [2, 3]), ("missing", ["mean", "marginalize"])])
def test_likelihoods_of_different_things_are_not_compared(X, name, values):
    with pytest.raises(ValueError, match=rf"{name} .*do not compare.*Give scoring"):
        IGTMSearch(igtm(scale="center"), {name: values}).fit(X)
    search = IGTMSearch(igtm(scale="center"), {name: values}, scoring=Captured(), refit=False)
    assert np.isfinite(search.fit(X).cv_results_["mean_test_score"]).all()
    IGTMSearch(igtm(scale="center"), {name: values[:1]}, refit=False).fit(X)


# What is told of the passes


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
def test_an_event_a_pass(X, lazy):
    given, events = da.from_array(X, chunks=(100, -1)) if lazy else X, []
    search = IGTMSearch(igtm(niter=99, tol=1e-2), {"regul": [0.1, 10.0]}, cv=2, refit=False)
    search.fit(given, callbacks=[events.append])
    counts = [search.cv_results_[f"split{fold}_n_iter"] for fold in range(2)]
    assert [event.number for event in events] == list(range(1, np.max(counts) + 1))
    for event in events:
        assert type(event) is PassEvent
        assert event.n_fits == 4
        assert event.n_rows == N
        assert event.n_going == sum(np.sum(count > event.number) for count in counts)
        assert event.rows_per_second == pytest.approx(N / event.seconds)
    assert events[0].n_passes == 99
    assert events[0].seconds_left == pytest.approx(events[0].seconds * 98)
    assert events[-1].n_going == events[-1].seconds_left == 0
    assert events[-1].n_passes == events[-1].number < 99


def test_events_count_over_groups(X):
    events = []
    search = IGTMSearch(igtm(), {"scale": ["center", "standard"], "niter": [2, 4]}, cv=2, refit=False)
    search.fit(X, callbacks=[events.append])
    assert [event.number for event in events] == list(range(1, 13))
    assert {event.n_passes for event in events} == {12}
    assert {event.n_fits for event in events} == {8}
    assert [event.n_going for event in events] == [8, 6, 6, 4, 4, 4, 4, 2, 2, 2, 2, 0]
    assert all(one.elapsed < two.elapsed for one, two in itertools.pairwise(events))


def test_true_stops_a_search_and_what_it_reached_is_judged(X):
    grid = {"scale": ["center", "standard"], "k": [3, 4]}
    told = []
    search = IGTMSearch(igtm(), grid, cv=2).fit(X, callbacks=[told.append, lambda event: event.number == 2])
    shorter = IGTMSearch(igtm(niter=2, scale="center"), {"k": [3, 4]}, cv=2).fit(X)
    assert len(told) == 2
    results = search.cv_results_
    of = {params["k"]: i for i, params in enumerate(results["params"]) if params["scale"] == "center"}
    for i, k in enumerate((3, 4)):
        assert results["mean_test_score"][of[k]] == shorter.cv_results_["mean_test_score"][i]
    begun = np.isin(np.arange(4), list(of.values()))
    assert_array_equal(np.isnan(results["mean_test_score"]), ~begun)
    assert_array_equal(results["split0_n_iter"], 2 * begun)
    assert not results["split1_converged"].any()
    assert search.best_params_["scale"] == "center"
    assert search.best_estimator_.n_iter_ == 4
    captured = Captured()
    search = IGTMSearch(igtm(), grid, cv=2, scoring=captured, refit=False)
    search.fit(X, callbacks=[lambda event: event.number == 2])
    assert [one.stopped_by_ for one, _ in captured.calls] == ["callback"] * 4


def test_callbacks_that_are_none_are_refused(X):
    with pytest.raises(TypeError, match="give a list of functions"):
        IGTMSearch(igtm(), {"k": [3]}).fit(X, callbacks=print)


def test_a_line_a_pass_where_there_is_no_terminal(X, capfd):
    IGTMSearch(igtm(verbose=True), {"k": [3, 4]}, cv=2, refit=False).fit(X)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(" fits")[0] for line in lines] == [
        f"pass    {number} of 4  {going} of 4" for number, going in ((1, 4), (2, 4), (3, 4), (4, 0))
    ]
    assert all("rows/s" in line and line.endswith("left") for line in lines)


# Classifiers and regressors


LABELS = np.array(["low", "middle", "high"])


@pytest.fixture(scope="module")
def y(X):
    return X[:, 0] + 0.1 * X[:, 1]


def predictor(kind, **parameters):
    shared = {"k": 4, "m": 3, "niter": 4, "tol": 0, "scale": "center", "solver": "em"}
    return {"classifier": IGTMClassifier, "regressor": IGTMRegressor}[kind](**shared | parameters)


def targets(kind, y):
    return LABELS[np.digitize(y, np.quantile(y, [0.3, 0.6]))] if kind == "classifier" else y


PREDICTOR_GRID = {"k": [3, 5], "scale": ["center", "standard"], "n_components": [2, None]}


@pytest.fixture(scope="module", params=["classifier", "regressor"])
def predictors(X, y, folds, request):
    """Return a kind, targets for it, and what scikit-learn's search says of them."""
    kind, known = request.param, targets(request.param, y)
    return kind, known, GridSearchCV(predictor(kind), PREDICTOR_GRID, cv=PredefinedSplit(folds)).fit(X, known)


@pytest.mark.parametrize("given", ["memory", "frame", "lazy", "unknown", "zarr"])
def test_predictors_are_scored_as_by_a_grid_search(X, predictors, given, tmp_path):
    kind, known, theirs = predictors
    rows, values = X, known
    if given == "frame":
        rows, values = pd.DataFrame(X, columns=list("abcde")), pd.Series(known)
    if given == "lazy":
        rows, values = da.from_array(X, chunks=((100, 1, 139), -1)), da.from_array(known, chunks=77)
    if given == "unknown":  # how long the chunks of y are
        rows, values = da.from_array(X, chunks=(100, -1)), da.from_array(known, chunks=100)
        values = values[da.ones(N, dtype=bool, chunks=100)]
    if given == "zarr":
        rows = zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(50, 5))
    ours = IGTMSearch(predictor(kind), PREDICTOR_GRID).fit(rows, values)
    for fold in range(3):
        score = f"split{fold}_test_score"
        assert_allclose(ours.cv_results_[score], theirs.cv_results_[score], rtol=1e-7)
    assert ours.best_params_ == theirs.best_params_
    assert_allclose(ours.score(rows, values), theirs.score(X, known), rtol=1e-7)
    predicted = ours.predict(rows)
    assert isinstance(predicted, da.Array) == (given in ("lazy", "unknown", "zarr"))
    if kind == "classifier":
        assert ours.classes_.tolist() == sorted(LABELS)
        assert ours.predict_proba(rows).shape == (N, 3)
        assert_array_equal(np.asarray(predicted), theirs.predict(X))
        assert is_classifier(ours)
    else:
        assert_allclose(np.asarray(predicted), theirs.predict(X))
        assert is_regressor(ours)
        assert not hasattr(ours, "predict_proba")


def test_a_map_predicts_nothing(X):
    assert not hasattr(IGTMSearch(igtm(), GRID), "predict")
    with pytest.raises(ValueError, match="requires y"):
        IGTMSearch(predictor("classifier"), {"k": [3]}).fit(X)


def test_a_class_that_a_fold_lacks(X):
    """It is told by the others, and wrong where it is held out."""
    labels = np.where(np.arange(N) == 7, "rare", "common")
    splits = list(KFold(3).split(X))
    ours = IGTMSearch(predictor("classifier"), {"k": [3]}, cv=splits, refit=False).fit(X, labels)
    assert ours.cv_results_["split0_test_score"] == 79 / 80
    assert ours.cv_results_["split1_test_score"] == 1


def test_the_prior_of_a_classifier_is_searched(X, y, folds):
    known, grid = targets("classifier", y), {"prior": ["estimated", "equiprobable"]}
    ours = IGTMSearch(predictor("classifier"), grid, refit=False).fit(X, known)
    theirs = GridSearchCV(predictor("classifier"), grid, cv=PredefinedSplit(folds), refit=False).fit(X, known)
    assert_allclose(ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"])
    assert ours.n_passes_ == 4 + 1


def test_several_columns_of_y_have_their_names(X, y):
    frame = pd.DataFrame({"one": y, "two": -2 * y})
    names = []

    def scoring(one, rows, values):
        names.append(one.landscape_.columns)
        assert values.shape == (len(rows), 2)
        return one.score(rows, values)

    search = IGTMSearch(predictor("regressor"), {"k": [3]}, cv=2, scoring=scoring).fit(X, frame)
    assert {tuple(column.split("_")[0] for column in columns) for columns in names} == {
        ("one",) * 3 + ("two",) * 3
    }
    assert search.score(X, frame) == search.best_estimator_.score(X, frame)


@pytest.mark.parametrize("lazy", [False, True], ids=["memory", "lazy"])
@pytest.mark.parametrize("kind", ["classifier", "regressor", "map"])
def test_a_scoring_gets_the_weights_that_it_takes(X, y, kind, lazy):
    weight = np.random.default_rng(0).integers(1, 4, N)
    told = []

    def taking(one, *rows, sample_weight=None):
        told.append(sample_weight)
        return one.score(*rows, sample_weight=sample_weight)

    def plain(one, *rows):
        return one.score(*rows)

    estimator = igtm() if kind == "map" else predictor(kind)
    known = targets(kind, y)
    rows = da.from_array(X, chunks=(70, -1)) if lazy else X
    scores = [
        IGTMSearch(estimator, {"k": [3, 4]}, cv=2, scoring=scoring, refit=False)
        .fit(rows, known, sample_weight=given)
        .cv_results_["mean_test_score"]
        for scoring, given in ((taking, weight), (None, weight), (plain, weight), (taking, None))
    ]
    assert [weights is None for weights in told] == [False] * 4 + [True] * 4
    assert_allclose(scores[0], scores[1], rtol=1e-9)
    assert (np.abs(scores[0] - scores[2]) > 1e-6).all()
    assert sum(np.asarray(weights).sum() for weights in told[:4:2]) == weight.sum()


def test_scorers_of_scikit_learn(X, y):
    known = targets("classifier", y)
    search = IGTMSearch(predictor("classifier"), {"k": [3, 4]}, refit=False)
    scorer = clone(search).set_params(scoring=get_scorer("accuracy"))
    assert_allclose(
        scorer.fit(X, known, sample_weight=y**2).cv_results_["mean_test_score"],
        search.fit(X, known, sample_weight=y**2).cv_results_["mean_test_score"],
    )


def test_y_that_cannot_be_used_is_refused_before_the_fits(counted, y):
    lazy, computed = counted
    with pytest.raises(ValueError, match="NaN or None 1 times"):
        IGTMSearch(predictor("regressor"), {"k": [3]}).fit(lazy, np.where(np.arange(N) == 9, np.nan, y))
    assert not computed


def test_rows_for_a_scoring_have_known_chunk_sizes(counted):
    lazy, computed = counted
    held_out = []
    search = IGTMSearch(
        igtm(niter=0, persist=False), {"k": [2]}, scoring=lambda _, rows: held_out.append(rows) or 1
    )
    search.set_params(refit=False).fit(lazy)
    assert len(computed) == 3 * (1 + 1)
    assert sum(rows.shape[0] for rows in held_out) == N
    for rows in held_out:
        assert rows.compute().shape == rows.shape
