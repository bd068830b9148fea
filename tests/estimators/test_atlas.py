"""Maps within maps, against zooms, a dense mixture, and what a fit in one go would say."""

import contextlib
import os
import pickle
import subprocess
import sys
import warnings

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from helpers.families import rows_of
from helpers.inputs import all_kinds, assert_same_fit
from helpers.lazy import Computes, counting
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_tree import dense_tree, log_nodes, responsibilities
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import parametrize_with_checks

from dask_igtm import IGTM, IGTMAtlas, landscape
from dask_igtm.atlas import growth
from dask_igtm.atlas.growth import COLLAPSED, KEPT, NO_GAIN
from dask_igtm.model.map_tree import MapTree
from dask_igtm.projection import parts
from dask_igtm.projection.validate import seed_of
from dask_igtm.statistics.row_subsets import draw
from dask_igtm.statistics.tree_sums import gains_of

N = 600
SETTINGS = {"k": 4, "m": 2, "niter": 5, "tol": 0, "solver": "em"}
OUTPUTS = ("means", "leaf", "node", "probability", "log_likelihood", "paths")


def towns(n_rows=N, seed=0):
    """Three towns of two suburbs each, which are bent."""
    rng = np.random.default_rng(seed)
    places = np.repeat(9 * np.eye(3, 4), 2, axis=0) + np.tile([[0, 0, 0, 2.5], [0, 0, 0, -2.5]], (3, 1))
    X = places[np.arange(n_rows) % 6] + rng.normal(size=(n_rows, 4)) * [1.0, 1.0, 0.3, 0.3]
    X[:, 2] += 0.4 * X[:, 1] ** 2
    return rng.permutation(X)


X = towns()
TRAIN = draw(np.arange(N), seed_of(1234), [0.1]).astype(float)  # 0 for those held out
WEIGHTS = np.arange(N) % 3 / 2 + 0.5


def atlas_of(estimator=None, **changed):
    given = {"n_regions": 3, "max_depth": 2, "min_samples": 50} | changed
    return IGTMAtlas(IGTM(**SETTINGS) if estimator is None else estimator, **given)


@pytest.fixture(scope="module")
def atlas():
    return atlas_of().fit(X)


def bits(atlas):
    maps = list(map(bits_of, atlas.maps_))
    shares = [own.shares.tobytes() + own.regions.tobytes() for own in atlas.tree_.maps]
    return maps, shares, repr(atlas.trials_)


def bits_of(igtm):
    return igtm.centers_.tobytes(), igtm.history_.tobytes(), igtm.beta_inv_, igtm.log_likelihood_


def plain(atlas):
    """Return the tree of an atlas as it was before its last level had maps."""
    deepest = max(map(atlas.tree_.depth, range(len(atlas.tree_))))
    tree = atlas.tree_.maps
    above = [number for number in range(len(tree)) if atlas.tree_.depth(number) < deepest]
    before = MapTree.of_root(tree[0].model)
    for number in above:
        own = tree[number]
        if number:
            before = before.grown(own.parent, own.region, own.model)
        if own.divided:
            before = before.divided(number, own.regions).with_shares(number, own.shares)
    return before


# What it consists of


def test_the_root_is_a_fit_to_the_rows_that_are_not_held_out(atlas):
    root = IGTM(**SETTINGS).fit(X, sample_weight=TRAIN)
    assert_same_fit(atlas.maps_[0], root, rtol=1e-12)
    assert atlas.tree_.maps[0].model is atlas.maps_[0].model_


def test_children_of_the_root_are_zooms_into_its_regions(atlas):
    root, own = atlas.maps_[0], atlas.tree_.maps[0]
    assert len(own.children) == 3
    inside = responsibilities(X, root.model_).astype(float) @ own.masks * TRAIN[:, None]
    assert_allclose(own.shares, inside.sum(axis=0) / TRAIN.sum(), rtol=1e-10)
    for region, child in enumerate(own.children):
        trial = atlas.trials_[1 + region]
        assert (trial.name, trial.parent, trial.region) == (f"root/{region}", "root", region)
        assert_allclose(trial.n_rows, inside[:, region].sum(), rtol=1e-10)
        assert trial.n_passes == SETTINGS["niter"] + 1
        if child > 0:
            zoomed = root.zoom(X, own.regions == region, TRAIN)
            assert_same_fit(atlas.maps_[child], zoomed, rtol=1e-8)
    assert max(own.children) > 0


def test_grandchildren_count_rows_by_both_maps_above(atlas):
    (number, *_) = (n for n in range(len(atlas.tree_)) if atlas.tree_.depth(n) == 2)
    weight, above = TRAIN.copy(), number
    while above:
        own = atlas.tree_.maps[above]
        parent = atlas.tree_.maps[own.parent]
        weight *= responsibilities(X, parent.model).astype(float)[:, parent.regions == own.region].sum(axis=1)
        above = own.parent
    assert_same_fit(atlas.maps_[number], IGTM(**SETTINGS).fit(X, sample_weight=weight), rtol=1e-8)


@pytest.mark.parametrize("family", ["diagonal", "bernoulli", "poisson"])
def test_children_are_zooms_with_every_noise(family):
    rows = rows_of(family, N)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="None of")
        atlas = atlas_of(IGTM(**SETTINGS, noise=family), max_depth=1, min_samples=20).fit(rows)
    assert len(atlas.trials_) == 4
    before = MapTree.of_root(atlas.maps_[0].model_)
    regions = atlas.tree_.maps[0].regions
    for region, child in enumerate(atlas.tree_.maps[0].children if len(atlas.maps_) > 1 else ()):
        if child > 0:
            zoomed = atlas.maps_[0].zoom(rows, regions == region, TRAIN)
            assert_same_fit(atlas.maps_[child], zoomed, rtol=1e-8)
    assert len(before) == 1


def dense_gains(atlas, X, used, settings, weight=None):
    """Return gain and error of every trial of the first level, from densities, by zooms."""
    root, own = atlas.maps_[0], atlas.tree_.maps[0]
    before = MapTree.of_root(root.model_).divided(0, own.regions).with_shares(0, own.shares)
    weight = np.ones(len(X)) if weight is None else weight
    out, w = X[used == 0], weight[used == 0]
    nodes, log_p = log_nodes(out, root.model_), dense_tree(out, before).log_likelihood
    found = []
    for region, share in enumerate(own.shares):
        inside = own.regions == region
        of_nodes = logsumexp(nodes[:, inside], axis=1) - np.log(inside.sum())
        child = root.zoom(X, inside, used * weight, **settings)
        gain = share * np.exp(of_nodes - log_p) * (child.score_samples(out) - of_nodes)
        mean = w @ gain / w.sum()
        found.append((mean, np.sqrt((w @ (gain - mean) ** 2) / w.sum() / (w.sum() - 1))))
    return np.array(found, float)


@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_gains_are_those_of_rows_held_out(weight):
    atlas = atlas_of(max_depth=1).fit(X, sample_weight=weight)
    found = np.array([(trial.gain, trial.gain_error) for trial in atlas.trials_[1:]])
    assert_allclose(found, dense_gains(atlas, X, TRAIN, {}, weight), rtol=1e-7, atol=1e-12)


def test_what_pays_is_kept_and_what_does_not_is_not(atlas):
    outcomes = {trial.name: trial.outcome for trial in atlas.trials_[1:]}
    assert set(outcomes.values()) == {KEPT, NO_GAIN}
    for trial in atlas.trials_[1:]:
        assert (trial.outcome == KEPT) == (trial.gain > trial.gain_error)
    assert atlas.tree_.names == ["root", *(name for name, outcome in outcomes.items() if outcome == KEPT)]
    assert len(atlas.maps_) == len(atlas.tree_)
    for igtm, own in zip(atlas.maps_, atlas.tree_.maps, strict=True):
        assert igtm.model_ is own.model
        assert own.divided == any(child > 0 for child in own.children)
        assert_allclose(own.shares.sum(), 1.0)


def test_the_mixture_gains_at_least_what_was_counted(atlas):
    out = X[TRAIN == 0]
    promised = sum(trial.gain for trial in atlas.trials_ if trial.outcome == KEPT and trial.parent)
    assert atlas.score(out) - atlas.maps_[0].score(out) >= promised > 0
    # Level by level it holds too.
    deeper = sum(t.gain for t in atlas.trials_ if t.outcome == KEPT and t.name.count("/") == 2)
    gained = atlas.score(out) - dense_tree(out, plain(atlas)).log_likelihood.mean()
    assert gained >= deeper > 0


def test_one_cloud_stays_one_map_and_that_is_said():
    blob = np.random.default_rng(0).normal(size=(1000, 3))
    with pytest.warns(UserWarning, match="None of 3 maps of regions pays .* root alone") as caught:
        atlas = atlas_of(IGTM(k=8, m=3, niter=60, solver="em"), validation_fraction=0.3).fit(blob)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert atlas.tree_.names == ["root"]
    assert [trial.outcome for trial in atlas.trials_] == [KEPT, *[NO_GAIN] * 3]
    assert not atlas.tree_.maps[0].divided
    assert_allclose(atlas.score_samples(blob), atlas.maps_[0].score_samples(blob), rtol=1e-12)
    assert_allclose(atlas.transform(blob), atlas.maps_[0].transform(blob), rtol=1e-12)


@pytest.mark.parametrize("changed", [{"max_depth": 0}, {"min_samples": 301}])
def test_a_root_that_is_not_to_be_divided_is_left_alone_in_silence(changed):
    atlas = atlas_of(**changed).fit(X)
    assert [trial.name for trial in atlas.trials_] == ["root"]
    assert atlas.tree_.names == ["root"]


def test_regions_hold_enough_rows_and_are_as_many_as_asked_for(atlas):
    assert all(trial.n_rows >= 50 for trial in atlas.trials_)
    for n_regions in (2, 3):
        trials = atlas_of(n_regions=n_regions, max_depth=1).fit(X).trials_
        assert [trial.parent for trial in trials] == ["", *["root"] * n_regions]


def halves(nodes, weight, centers, *_):
    """Divide a map where the first column of its rows is least and most."""
    return (centers[:, 0] > centers[:, 0].mean()).astype(np.intp)


def test_a_region_whose_rows_are_all_equal_is_reported_and_the_parent_stands_in(monkeypatch):
    monkeypatch.setattr(growth, "divide", halves)
    rng = np.random.default_rng(0)
    rows = np.r_[
        np.zeros((300, 3)), np.repeat(np.eye(3) * 4, 100, axis=0) + 9 + rng.normal(size=(300, 3)) / 5
    ]
    atlas = atlas_of(max_depth=1).fit(rows)
    refused, other = atlas.trials_[1:]
    assert "equal" in refused.outcome
    assert np.isnan([refused.gain, refused.gain_error]).all()
    assert other.outcome == KEPT
    assert atlas.tree_.maps[0].children == (-1, 1)
    table = atlas.table().set_index("map")
    assert table.loc["root/0", "outcome"] == refused.outcome
    assert table.loc["root/0", "number"] == -1
    assert_array_equal(atlas.apply(rows), np.repeat([0, 1], 300))
    assert_allclose(atlas.score_samples(rows), dense_tree(rows, atlas.tree_).log_likelihood, rtol=1e-9)


def test_children_that_collapse_are_named_and_the_parent_stands_in():
    heavy = IGTM(**SETTINGS | {"niter": 60, "regul": 1e6})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        atlas = atlas_of(child=heavy, max_depth=1).fit(X)
    assert [trial.outcome for trial in atlas.trials_[1:]] == [COLLAPSED] * 3
    said = [str(warning.message) for warning in caught]
    for region in range(3):
        assert any(line.startswith(f"root/{region}: ") and "collapsed" in line for line in said)
    assert any("root alone" in line for line in said)
    assert atlas.table()["outcome"].tolist() == [KEPT, *[COLLAPSED] * 3]


def test_children_may_be_other_maps_than_the_root():
    atlas = atlas_of(child=IGTM(**SETTINGS | {"k": 3, "solver": "accelerated"}), max_depth=1).fit(X)
    assert [len(one.nodes_) for one in atlas.maps_] == [16, *[9] * (len(atlas.maps_) - 1)]
    assert len(atlas.maps_) > 1
    assert [one.solver for one in atlas.maps_[:2]] == ["em", "accelerated"]


def test_all_maps_of_a_level_share_their_passes(monkeypatch):
    lazy, computed = counting(X[:300])
    estimator = IGTM(**SETTINGS, persist=False)
    with dask.config.set(scheduler="synchronous"):
        atlas = atlas_of(estimator, max_depth=2, min_samples=20).fit(lazy)
    n_levels = 1 + (max(map(atlas.tree_.depth, range(len(atlas.tree_)))) > 0)
    # Moments, iterations and likelihood of the root, and the weights of its nodes; of each level moments,
    # iterations, likelihoods, and what judges it.
    assert n_levels == 2
    assert computed.count(0) == 1 + 5 + 1 + 1 + n_levels * (1 + 5 + 1 + 1)
    assert computed.count(0) == computed.count(1) == computed.count(2)


# Where rows come from


@pytest.mark.parametrize("kind", ["csr", "frame", "uneven", "zarr", "coo_chunks"])
def test_any_container(kind, tmp_path):
    rows = np.hstack([X[:300], X[:300, :1]])
    expected = atlas_of(min_samples=25).fit(rows)
    given = all_kinds(rows, tmp_path)[kind]
    found = atlas_of(min_samples=25).fit(given)
    assert found.tree_.names == expected.tree_.names
    for one, other in zip(found.maps_, expected.maps_, strict=True):
        assert_same_fit(one, other, rtol=1e-8)
    for trial, same in zip(found.trials_, expected.trials_, strict=True):
        assert_allclose([trial.gain, trial.gain_error], [same.gain, same.gain_error], rtol=1e-6)
    values = found.describe(given, OUTPUTS)
    for name, value in expected.describe(rows, OUTPUTS).items():
        assert_allclose(np.asarray(values[name]), value, rtol=1e-6, atol=1e-7, err_msg=name)


def test_rows_with_nothing_observed_do_not_count_in_scores_and_gains():
    gappy = atlas_of(IGTM(**SETTINGS, missing="marginalize"), max_depth=1, min_samples=50).fit(X)
    empty = np.vstack([X, np.full((N, 4), np.nan)])
    assert gappy.score(empty) == pytest.approx(gappy.score(X), rel=1e-12)
    with pytest.raises(ValueError, match="no row has an entry"):
        gappy.score(empty[N:])
    among = atlas_of(IGTM(**SETTINGS, missing="marginalize"), max_depth=1).fit(empty)
    held_out = draw(np.arange(2 * N), seed_of(1234), [0.1])[:N] == 0
    alone = gains_of(X[held_out], None, _before(among), "numpy", _children(among))
    trials = [trial for trial in among.trials_ if trial.outcome == KEPT and trial.parent]
    expected = [alone[column, 0] / alone[-1, 0] for column in range(len(trials))]
    assert_allclose([trial.gain for trial in trials], expected, rtol=1e-6)


def _before(atlas):
    """Return the tree of the root and its regions, without maps of their own."""
    root = atlas.tree_.maps[0]
    return MapTree.of_root(root.model).divided(0, root.regions).with_shares(0, root.shares)


def _children(atlas):
    return tuple((0, own.region, own.model) for own in atlas.tree_.maps[1:])


def test_wide_rows_with_gaps():
    rng = np.random.default_rng(0)
    wide = np.repeat(rng.normal(size=(2, 2100)) * 2, 60, axis=0) + rng.normal(size=(120, 2100))
    wide[rng.random(wide.shape) < 0.03] = np.nan
    estimator = IGTM(k=3, m=2, niter=2, tol=0, solver="em", scale="center", missing="marginalize")
    with pytest.warns(UserWarning, match="None of 2 maps of regions pays"):
        atlas = IGTMAtlas(estimator, n_regions=2, max_depth=1, min_samples=20).fit(wide)
    assert len(atlas.trials_) == 3
    assert np.isfinite([trial.gain for trial in atlas.trials_[1:]]).all()


def test_columns_of_counts_weigh_in_units_of_their_noise():
    rng, n = np.random.default_rng(0), 1500
    kind = np.arange(n) % 2
    rare = np.where((np.arange(30) < 15) == (kind[:, None] == 0), 1.5, 0.3)
    counts = np.column_stack([rng.poisson(1000, size=n), rng.poisson(rare)]).astype(float)
    estimator = IGTM(k=5, m=2, niter=15, tol=0, solver="em", noise="poisson")
    atlas = IGTMAtlas(estimator, n_regions=2, max_depth=1, min_samples=200).fit(counts)
    node = atlas.maps_[0].describe(counts, ["node"])["node"]
    share = [atlas.tree_.maps[0].regions[node[kind == one]].mean() for one in (0, 1)]
    assert abs(share[0] - share[1]) > 0.95


def test_a_fit_that_is_stopped_in_a_level_divides_no_further_map():
    stopped = atlas_of().fit(X, callbacks=[lambda event: hasattr(event, "n_going") and event.number == 2])
    maps = stopped.tree_.maps
    assert len(maps) > 1
    assert [own.divided for own in maps] == [True] + [False] * (len(maps) - 1)


@pytest.mark.parametrize("missing", ["marginalize", "median", "mean"])
@pytest.mark.parametrize("lazy", [True, False])
def test_rows_with_gaps(missing, lazy):
    rows = X.copy()
    rows[np.random.default_rng(0).random(X.shape) < 0.1] = np.nan
    rows[[3, 300]] = np.nan
    given = da.from_array(rows, chunks=(170, -1)) if lazy else rows
    atlas = atlas_of(IGTM(**SETTINGS, missing=missing)).fit(given)
    assert len(atlas.maps_) > 1
    assert all(igtm.model_.gaps == atlas.maps_[0].model_.gaps for igtm in atlas.maps_)
    score = np.asarray(atlas.score_samples(given))
    filled = atlas.maps_[0].model_.gaps.filled(rows) if missing != "marginalize" else rows
    known = ~np.isnan(filled).all(axis=1)
    expected = dense_tree(filled[known], atlas.tree_).log_likelihood
    assert_allclose(score[known], expected, rtol=1e-9)


@pytest.mark.parametrize("persist", [True, False])
def test_blocks_schedulers_and_what_is_kept_change_nothing_beyond_rounding(atlas, persist):
    for chunks in (61, 250):
        given = da.from_array(X, chunks=(chunks, -1))
        found = []
        for scheduler in ("synchronous", "threads"):
            with dask.config.set(scheduler=scheduler, num_workers=3):
                found.append(atlas_of(IGTM(**SETTINGS, persist=persist)).fit(given))
        assert bits(found[0]) == bits(found[1])
        assert found[0].tree_.names == atlas.tree_.names
        for one, other in zip(found[0].maps_, atlas.maps_, strict=True):
            assert_same_fit(one, other, rtol=1e-8)


def test_weights_count_rows():
    """Held out are rows by their numbers, so all have the same weight."""
    once = atlas_of().fit(X)
    twice = atlas_of(min_samples=100).fit(X, sample_weight=np.full(N, 2.0))
    assert once.tree_.names[:4] == twice.tree_.names[:4]
    for one, other in zip(once.trials_[1:4], twice.trials_[1:4], strict=True):
        assert_allclose(other.n_rows, 2 * one.n_rows, rtol=1e-3)  # the ridge weighs half as much
        assert_allclose(other.gain, one.gain, rtol=0.1)
        assert_allclose(other.gain_error * np.sqrt(2), one.gain_error, rtol=0.1)


def test_rows_without_weight_might_as_well_not_be_there(atlas):
    rows = np.r_[X, X[:100] + 1000]
    found = atlas_of().fit(rows, sample_weight=np.r_[np.ones(N), np.zeros(100)])
    assert found.tree_.names == atlas.tree_.names
    for one, other in zip(found.maps_, atlas.maps_, strict=True):
        assert_same_fit(one, other, rtol=1e-8)


def test_the_seed_is_that_of_the_estimator_unless_given():
    one = atlas_of(max_depth=0).fit(X)
    assert bits(one) == bits(atlas_of(max_depth=0, random_state=1234).fit(X))
    other = atlas_of(max_depth=0, random_state=5).fit(X)
    assert bits(one) != bits(other)
    assert bits(other) == bits(atlas_of(IGTM(**SETTINGS, random_state=5), max_depth=0).fit(X))


# What it says of rows


def test_what_it_says_of_rows_is_what_the_mixture_says(atlas):
    dense = dense_tree(X, atlas.tree_)
    found = atlas.describe(X, OUTPUTS)
    for name, values in found.items():
        assert_allclose(values, getattr(dense, name), rtol=1e-7, atol=1e-8, err_msg=name)
    assert_array_equal(atlas.transform(X), atlas.describe(X)["means"])
    assert_array_equal(atlas.apply(X), found["leaf"])
    assert_allclose(atlas.score_samples(X), found["log_likelihood"], rtol=1e-13)
    assert_allclose(atlas.score(X), dense.log_likelihood.mean(), rtol=1e-12)
    assert_allclose(atlas.score(X, None, WEIGHTS), WEIGHTS @ dense.log_likelihood / WEIGHTS.sum(), rtol=1e-12)
    paths = atlas.decision_path(X)
    assert paths.format == "csr"
    assert paths.shape == (N, len(atlas.tree_))
    assert_allclose(paths.toarray(), found["paths"], atol=3e-16, rtol=1e-12)
    assert paths.nnz == (paths.toarray() > 0).sum() < N * len(atlas.tree_)
    assert list(atlas.transform_blocks(X, 250))[1].shape == (250, 2)
    assert_allclose(np.concatenate(list(atlas.transform_blocks(X, 250))), atlas.transform(X), rtol=1e-10)


def test_lazy_rows_have_lazy_answers(atlas):
    lazy = da.from_array(X, chunks=(170, -1))
    with Computes() as computes:
        answers = {
            "transform": atlas.transform(lazy),
            "apply": atlas.apply(lazy),
            "score_samples": atlas.score_samples(lazy),
            "decision_path": atlas.decision_path(lazy),
        }
        described = atlas.describe(lazy, OUTPUTS)
        assert computes.count == 0
    for name, answer in answers.items():
        assert isinstance(answer, da.Array)
        computed, expected = answer.compute(), getattr(atlas, name)(X)
        assert answer.shape == expected.shape
        if name == "decision_path":
            computed, expected = computed.toarray(), expected.toarray()
        assert_allclose(computed, expected, rtol=1e-10, atol=1e-12)
    (together,) = dask.compute(described)
    for name, values in atlas.describe(X, OUTPUTS).items():
        assert_allclose(together[name], values, rtol=1e-9, atol=1e-11)


def test_fitting_computes_lazy_rows_and_nothing_else(atlas):
    """X is asked for in passes alone; see how often above. Held here: weights that are lazy stay in step."""
    lazy, weight = da.from_array(X, chunks=(170, -1)), da.from_array(WEIGHTS, chunks=170)
    found, expected = (
        atlas_of(max_depth=1).fit(lazy, None, weight),
        atlas_of(max_depth=1).fit(X, None, WEIGHTS),
    )
    assert_same_fit(found.maps_[1], expected.maps_[1], rtol=1e-9)


def test_frames_and_output_in_frames():
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(N) + 7)
    atlas = atlas_of().fit(frame).set_output(transform="pandas")
    assert atlas.feature_names_in_.tolist() == list("abcd")
    assert all(igtm.feature_names_in_.tolist() == list("abcd") for igtm in atlas.maps_)
    found = atlas.transform(frame)
    assert found.columns.tolist() == atlas.get_feature_names_out().tolist() == ["igtmatlas0", "igtmatlas1"]
    assert_array_equal(found.index, frame.index)
    with pytest.raises(ValueError, match="feature names"):
        atlas.transform(frame[list("dcba")])


def test_a_projection_is_what_describe_says_and_is_gone_on_with(atlas, tmp_path):
    lazy, computed = counting(X[:300])
    with dask.config.set(scheduler="synchronous"):
        group = atlas.project_to_zarr(lazy, tmp_path / "a.zarr", OUTPUTS)
        assert sorted(computed) == [0, 0, 1, 1, 2, 2]  # for rows are known again by their digests
        computed.clear()
        for name, values in atlas.describe(X[:300], OUTPUTS).items():
            assert_allclose(group[name][:], values, rtol=1e-9, atol=1e-11)
        atlas.project_to_zarr(lazy, tmp_path / "a.zarr", OUTPUTS)
        assert sorted(computed) == [0, 1, 2]  # it was complete
    other = atlas_of(max_depth=1).fit(X)
    with pytest.raises(ValueError, match="model"):
        other.project_to_zarr(lazy, tmp_path / "a.zarr", OUTPUTS[:2])


def test_a_projection_that_was_cut_writes_what_is_missing(atlas, tmp_path, monkeypatch):
    reads = []

    def rows(at):
        def failing(block, block_id):
            reads.append(block_id[0])
            if len(reads) == at:
                raise OSError("gone")
            return block

        return da.from_array(X, chunks=(50, -1)).map_blocks(failing, dtype=float, meta=np.empty((0, 0)))

    monkeypatch.setattr(parts, "fold_size", lambda *_: 1)
    with dask.config.set(scheduler="synchronous"):
        whole = atlas.project_to_zarr(rows(0), tmp_path / "whole.zarr")
        reads.clear()
        with pytest.raises(OSError, match="gone"):
            atlas.project_to_zarr(rows(12 + 9), tmp_path / "cut.zarr")
        reads.clear()
        group = atlas.project_to_zarr(rows(0), tmp_path / "cut.zarr")
        assert 12 < len(reads) < 24
    for name in whole.array_keys():
        assert group[name][:].tobytes() == whole[name][:].tobytes()
    assert group.attrs["dask_igtm"]["complete"] is True


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_table_has_the_ids_of_its_rows(atlas, tmp_path, ending):
    ids = np.array([f"row {i}" for i in range(N)])
    path = tmp_path / f"t.{ending}"
    atlas.write_table(X, path, ("leaf", "means", "log_likelihood"), ids=ids)
    table = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
    expected = atlas.describe(X)
    assert table.iloc[:, 0].tolist() == ids.tolist()
    assert_array_equal(table["leaf"], expected["leaf"])
    assert_allclose(table["log_likelihood"], expected["log_likelihood"], rtol=1e-10)
    assert_allclose(table.filter(regex="x1|x2|means").to_numpy(), expected["means"], rtol=1e-6, atol=1e-7)


def test_the_table_of_maps(atlas):
    table = atlas.table()
    names = ["map", "parent", "region", "number", "rows", "passes", "gain", "gain_error", "outcome"]
    assert table.columns.tolist() == names
    kept = table[table["outcome"] == KEPT]
    assert kept["map"].tolist() == atlas.tree_.names
    assert kept["number"].tolist() == list(range(len(atlas.tree_)))
    assert (table.loc[table["outcome"] != KEPT, "number"] == -1).all()
    assert table.loc[0, ["parent", "region"]].tolist() == ["", -1]
    assert table["gain"].isna().tolist() == [True] + [False] * (len(table) - 1)
    assert table.loc[0, "rows"] == TRAIN.sum()


# As an estimator


@pytest.mark.filterwarnings("ignore:.*The (map|column means):UserWarning")
@pytest.mark.filterwarnings("ignore:None of .* maps of regions pays:UserWarning")
@parametrize_with_checks([atlas_of(IGTM(k=3, m=2, niter=1), n_regions=2, max_depth=1, min_samples=2)])
def test_scikit_learns_checks(estimator, check):
    if "sample_weight_equivalence" in check.func.__name__:
        pytest.skip("rows are held out by their numbers, which those of doubled rows are not")
    check(estimator)


def test_a_map_of_an_atlas_can_be_zoomed_into(atlas):
    child = atlas.maps_[1].zoom(X, [0, 1, 2], TRAIN)
    weight = TRAIN * responsibilities(X, atlas.maps_[1].model_).astype(float)[:, :3].sum(axis=1)
    assert_same_fit(child, IGTM(**SETTINGS).fit(X, sample_weight=weight), rtol=1e-8)


def test_it_is_cloned_with_its_parameters():
    atlas = atlas_of(child=IGTM(k=3), random_state=7)
    params = atlas.get_params()
    assert params["estimator__k"] == 4
    assert params["child__k"] == 3
    assert list(atlas.get_params(deep=False)) == [
        "child",
        "estimator",
        "max_depth",
        "min_samples",
        "n_regions",
        "random_state",
        "validation_fraction",
    ]
    other = clone(atlas).set_params(estimator__k=5, max_depth=1)
    assert (atlas.estimator.k, other.estimator.k, other.max_depth) == (4, 5, 1)


def test_the_estimators_given_are_not_fitted(atlas):
    assert not hasattr(atlas.estimator, "model_")
    with pytest.raises(NotFittedError):
        atlas_of().transform(X)
    with pytest.raises(NotFittedError):
        atlas_of().table()
    with pytest.raises(NotFittedError):
        atlas_of().save("nowhere.npz")


def test_it_pickles_to_kilobytes(atlas):
    data = pickle.dumps(atlas)
    assert len(data) < 30_000 * len(atlas.maps_)
    assert bits(pickle.loads(data)) == bits(atlas)


def test_what_cannot_be_fitted_is_refused_by_name(tmp_path):
    lazy, computed = counting(X[:300])

    def refused(message, error=ValueError, given=lazy, **changed):
        with pytest.raises(error, match=message):
            atlas_of(**changed).fit(given)

    refused("estimator is 'map'; give an IGTM", TypeError, estimator="map")
    refused("child is 3; give an IGTM", TypeError, child=3)
    refused("estimator has n_components=2, .* give n_components=None", estimator=IGTM(n_components=2))
    refused("child has n_components=2", child=IGTM(n_components=2))
    refused("estimator has noise='isotropic' and child 'bernoulli'", child=IGTM(noise="bernoulli"))
    refused("estimator has exposure=None and child 'total'", estimator=IGTM(noise="poisson"),
            child=IGTM(noise="poisson", exposure="total"))  # fmt: skip
    refused("estimator has missing='error' and child 'median'", child=IGTM(missing="median"))
    refused("solver='sampled'", child=IGTM(solver="sampled"))
    for value in (0.0, 1.0, -0.1):
        refused("validation_fraction", validation_fraction=value)
    for value in (-1, 1.5):
        refused("max_depth", max_depth=value)
    for value in (1, 2.5, "many"):
        refused("n_regions", n_regions=value)
    refused("min_samples", min_samples=-1)
    refused("7 rows|n_samples=1|too few|at least", given=X[:1])
    refused("chunk sizes", given=lazy[lazy[:, 0] > 0])
    assert not computed
    with pytest.raises(TypeError, match="callbacks"):
        atlas_of().fit(lazy, callbacks=[3])


def test_nothing_held_out_is_refused_before_a_map_is_fitted_in_vain():
    callback, events = cut_at(None, 0)
    with pytest.raises(ValueError, match="No row with weight was drawn to be held out"):
        atlas_of().fit(X, sample_weight=TRAIN, callbacks=[callback])
    assert {level for level, _ in events} == {0}


@pytest.mark.parametrize("row", [np.flatnonzero(TRAIN)[5], np.flatnonzero(TRAIN == 0)[5]])
def test_bad_entries_are_named_before_the_first_iteration_of_those_held_out_too(row):
    callback, events = cut_at(None, 0)
    broken = X.copy()
    broken[row, 2] = np.inf
    for given in (broken, da.from_array(broken, chunks=(170, -1))):
        with pytest.raises(ValueError, match="2"):
            atlas_of().fit(given, callbacks=[callback])
    assert not events


def test_a_fit_that_fails_leaves_the_one_before(atlas):
    fitted = pickle.loads(pickle.dumps(atlas))
    before = bits(fitted)
    broken = X.copy()
    broken[5, 2] = np.nan
    with pytest.raises(ValueError, match="2"):
        fitted.fit(broken)
    assert bits(fitted) == before


def test_functions_of_one_map_are_given_one(atlas):
    said = r"IGTMAtlas has \d+ maps, and this is about one; give one of them, such as maps_\[0\]"
    for function, given in (
        (landscape.coverage, (X, X)),
        (landscape.markers, ()),
        (landscape.magnification, ()),
        (landscape.compare, ({"one": X, "other": X},)),
    ):
        with pytest.raises(TypeError, match=said):
            function(atlas, *given)


# Callbacks and checkpoints


class Stop(Exception):  # noqa: N818
    """What a test cuts a fit with."""


def cut_at(level, number):
    """Return a callback that raises at a pass of a level, 0 being the root, and the events it was told."""
    events = []

    def callback(event):
        fresh = not events or type(event) is not type(events[-1][1]) or event.number <= events[-1][1].number
        events.append((events[-1][0] + 1 if events and fresh else events[-1][0] if events else 0, event))
        if level is not None and events[-1][0] == level and event.number == number:
            raise Stop

    return callback, events


def test_callbacks_are_told_of_iterations_and_passes():
    callback, events = cut_at(None, 0)
    atlas = atlas_of().fit(X, callbacks=[callback])
    told = [(level, type(event).__name__, event.number) for level, event in events]
    assert told == [(0, "IterationEvent", i) for i in range(1, 6)] + [
        (level, "PassEvent", i) for level in (1, 2) for i in range(1, 6)
    ]
    tried = [sum(t.name.count("/") == level for t in atlas.trials_) for level in (1, 2)]
    assert [event.n_fits for level, event in events if level] == [tried[0]] * 5 + [tried[1]] * 5


def test_a_callback_stops_at_the_root():
    atlas = atlas_of().fit(X, callbacks=[lambda event: event.number == 3])
    assert atlas.tree_.names == ["root"]
    assert atlas.maps_[0].n_iter_ == 3
    assert atlas.maps_[0].stopped_by_ == "callback"


def test_a_callback_stops_in_a_level_and_what_it_reached_is_judged():
    atlas = atlas_of().fit(X, callbacks=[lambda event: hasattr(event, "n_fits") and event.number == 2])
    assert [trial.name for trial in atlas.trials_] == ["root", "root/0", "root/1", "root/2"]
    assert {igtm.n_iter_ for igtm in atlas.maps_[1:]} == {2}
    assert atlas.maps_[0].n_iter_ == 5
    assert np.isfinite([trial.gain for trial in atlas.trials_[1:]]).all()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["processes", "cluster"])
def test_the_same_bits_in_other_processes(place):
    """Few passes, for each begins processes of its own on Dask's scheduler of such."""
    given = da.from_array(X, chunks=(170, -1))

    def fits():
        short = IGTM(**SETTINGS | {"niter": 1})
        atlas = atlas_of(short, max_depth=1).fit(given)
        return bits(atlas), bits_of(atlas.maps_[0].zoom(given, [1, 2, 3]))

    with dask.config.set(scheduler="synchronous"):
        expected = fits()
    with contextlib.ExitStack() as stack:
        if place == "processes":
            stack.enter_context(dask.config.set(scheduler="processes", num_workers=2))
        else:
            here = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
            stack.enter_context(Client(stack.enter_context(LocalCluster(**here))))
        assert fits() == expected


@pytest.mark.slow
def test_array_query_planning():
    code = """
import dask.array as da, numpy as np
from dask_igtm import IGTM, IGTMAtlas, landscape
rng = np.random.default_rng(0)
X = rng.normal(size=(600, 4)) + 6 * (np.arange(600) % 2)[:, None]
atlas = IGTMAtlas(IGTM(k=5, m=3, niter=3, solver="em"), n_regions=2, min_samples=50, validation_fraction=0.3)
expected = atlas.fit(X).score_samples(X)
assert len(atlas.maps_) > 1
lazy = da.from_array(X, chunks=(200, 4))
assert hasattr(lazy, "expr")
np.testing.assert_allclose(atlas.fit(lazy).score_samples(lazy).compute(), expected, rtol=1e-8)
assert atlas.decision_path(lazy).compute().shape == (600, len(atlas.maps_))
assert list(landscape.density(atlas, lazy)) == atlas.tree_.names
atlas.maps_[0].zoom(lazy, [1, 2, 3])
"""
    planned = os.environ | {"DASK_ARRAY__QUERY_PLANNING": "True"}
    subprocess.run([sys.executable, "-c", code], env=planned, check=True)


@pytest.mark.parametrize(
    ("level", "number", "lazy"), [(0, 3, True), (1, 1, False), (1, 5, True), (2, 3, True), (2, 5, False)]
)
def test_a_fit_that_was_cut_goes_on_to_the_same_bits(level, number, lazy, tmp_path):
    given = da.from_array(X, chunks=(170, -1)) if lazy else X
    whole = atlas_of().fit(given)
    callback, _ = cut_at(level, number)
    with pytest.raises(Stop):
        atlas_of().fit(given, checkpoint=tmp_path / "c.npz", callbacks=[callback])
    names = {"c.npz", *(f"c.level-{i}.npz" for i in range(1, level + 1))}
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".npz"} == names
    told, events = cut_at(None, 0)
    again = atlas_of().fit(given, checkpoint=tmp_path / "c.npz", callbacks=[told])
    assert bits(again) == bits(whole)
    assert len(events) == 15 - 5 * level - number  # what was done is not done again
    assert bits(atlas_of().fit(given, checkpoint=tmp_path / "c.npz")) == bits(whole)


def test_a_checkpoint_of_another_atlas_is_refused(tmp_path):
    path = tmp_path / "c.npz"
    atlas_of().fit(X, checkpoint=path)
    for other in (
        atlas_of(n_regions=2),
        atlas_of(random_state=3),
        atlas_of(IGTM(**SETTINGS | {"k": 3})),
        atlas_of(child=IGTM(**SETTINGS | {"k": 3})),
        atlas_of(validation_fraction=0.2),
    ):
        with pytest.raises(ValueError, match="checkpoint"):
            other.fit(X, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint"):
        atlas_of().fit(X, checkpoint=path, sample_weight=WEIGHTS)
