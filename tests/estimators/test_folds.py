"""Folds of a search: scikit-learn's in memory, and groups that are drawn alike wherever their rows lie."""

import os
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)

from dask_igtm import IGTM, IGTMSearch

N = 120
X = correlated(N, 4)
Y = np.arange(N) % 3
GROUPS = np.random.default_rng(0).integers(0, 20, N)
GRID = {"k": [3, 4], "regul": [0.1, 1.0]}


def igtm(**parameters):
    return IGTM(**{"k": 4, "m": 2, "niter": 3, "tol": 0, "scale": "center", "solver": "em", **parameters})


SPLITS = {
    "KFold": KFold(3, shuffle=True, random_state=0),
    "GroupKFold": GroupKFold(3),
    "StratifiedKFold": StratifiedKFold(3),
    "overlapping tests": ShuffleSplit(5, train_size=0.5, test_size=0.3, random_state=0),
    "repeated": RepeatedKFold(n_splits=3, n_repeats=3, random_state=0),
    "growing": TimeSeriesSplit(3),
    "lists": [([*range(50)], [*range(60, 90)]), ([*range(50, N)], [*range(70)])],  # that overlap, too
    "masks": [(part != Y, part == Y) for part in range(3)],
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_of_scikit_learn_give_the_scores_of_its_grid_search(name):
    groups = GROUPS if name == "GroupKFold" else None
    ours = IGTMSearch(igtm(), GRID, cv=SPLITS[name], refit=False).fit(X, Y, groups=groups)
    theirs = GridSearchCV(igtm(), GRID, cv=SPLITS[name], refit=False).fit(X, Y, groups=groups)
    assert ours.n_splits_ == theirs.n_splits_
    for fold in range(ours.n_splits_):
        score = f"split{fold}_test_score"
        assert_allclose(ours.cv_results_[score], theirs.cv_results_[score], rtol=1e-9)


def test_weights_count_in_the_fits_and_in_the_scores_of_splits():
    weight = np.random.default_rng(1).integers(1, 4, N)
    ((train, test),) = ShuffleSplit(1, test_size=0.3, random_state=0).split(X)
    search = IGTMSearch(igtm(), {"k": [3]}, cv=[(train, test)], refit=False).fit(X, sample_weight=weight)
    alone = igtm(k=3).fit(X[train], sample_weight=weight[train])
    assert_allclose(search.best_score_, alone.score(X[test], sample_weight=weight[test]), rtol=1e-9)


def test_each_row_by_itself():
    few = X[:30]
    ours = IGTMSearch(igtm(niter=1), {"k": [3]}, cv=LeaveOneOut(), refit=False).fit(few)
    theirs = GridSearchCV(igtm(niter=1), {"k": [3]}, cv=LeaveOneOut(), refit=False).fit(few)
    assert ours.n_splits_ == 30
    assert_allclose(ours.best_score_, theirs.best_score_, rtol=1e-9)


def test_bad_entries_are_seen_in_any_fold_and_rows_of_none_do_not_matter():
    holed = np.array(X)
    holed[[100, 110], 1] = np.nan
    splits = [([*range(40)], [*range(40, 80)]), ([*range(60, 105)], [*range(20)])]
    with pytest.raises(ValueError, match="1 in column 1"):
        IGTMSearch(igtm(), {"k": [3]}, cv=splits, refit=False).fit(holed)
    of_later = [splits[0], ([*range(30)], [*range(90, 120)])]  # and only to be judged by
    events = []
    for some in (of_later, of_later[::-1]):
        with pytest.raises(ValueError, match="2 in column 1"):
            IGTMSearch(igtm(), {"k": [3]}, cv=some, refit=False).fit(holed, callbacks=[events.append])
    assert not events  # before the first iteration
    whole = IGTMSearch(igtm(), {"k": [3]}, cv=splits[:1], refit=False)
    assert whole.fit(holed).best_score_ == whole.fit(X).best_score_


@pytest.mark.parametrize(
    ("cv", "message"),
    [
        (None, "cv=None; give a number"),
        ("loo", "cv='loo'"),
        (2.0, "cv=2.0"),
        ([], "no \\(train, test\\)"),
        ([([0, 0, 1], [2])], "a row twice.*sample_weight"),
    ],
)
def test_what_is_no_fold_is_refused(cv, message):
    with pytest.raises(ValueError, match=message):
        IGTMSearch(igtm(), {"k": [3]}, cv=cv).fit(X)


def test_lists_of_rows_are_refused_of_lazy_rows_with_the_remedy():
    lazy = da.from_array(X, chunks=(50, -1))
    with (
        dask.config.set(scheduler=computing),
        pytest.raises(ValueError, match=r"KFold.*X is lazy; give the number of folds, with groups="),
    ):
        IGTMSearch(igtm(), {"k": [3]}, cv=KFold(3)).fit(lazy)


# Groups


class Rows:
    """A scoring that keeps the rows held out."""

    def __init__(self):
        self.held_out = []

    def __call__(self, estimator, rows):
        self.held_out.append(np.asarray(rows))
        return estimator.score(rows)


def folds_of(groups, given=X, **parameters):
    """Return the fold of each row, as the rows handed to a scoring tell it."""
    rows = Rows()
    search = IGTMSearch(igtm(niter=0), {"k": [2]}, scoring=rows, refit=False, **parameters)
    search.fit(given, groups=groups)
    of = {row.tobytes(): fold for fold, held_out in enumerate(rows.held_out) for row in held_out}
    return np.array([of[row.tobytes()] for row in X])


NAMES = np.array([f"scaffold {number}" for number in GROUPS])


@pytest.mark.parametrize(
    "groups", [GROUPS, NAMES, NAMES.astype("S"), GROUPS - 2**62], ids=lambda g: g.dtype.str
)
def test_rows_of_a_group_go_to_one_fold(groups):
    fold = folds_of(groups)
    table = pd.crosstab(groups, fold)
    assert ((table > 0).sum(axis=1) == 1).all()
    assert (table > 0).any(axis=0).all()
    assert (fold != folds_of(groups, random_state=5)).any()


def test_folds_of_groups_do_not_depend_on_what_holds_them():
    lazy = da.from_array(X, chunks=((30, 70, 20), -1))
    same = [
        folds_of(GROUPS.astype(np.int16)),
        folds_of(pd.Series(GROUPS, dtype="Int64")),
        folds_of(GROUPS.tolist(), lazy),
        folds_of(da.from_array(GROUPS, chunks=50), lazy),
        folds_of(da.from_array(GROUPS.astype(float), chunks=11), lazy),
    ]
    for one in same:
        assert_array_equal(one, folds_of(GROUPS))
    named = [NAMES.astype(object), pd.Series(NAMES, dtype="string"), pd.Series(NAMES, dtype="category")]
    for one in named:
        assert_array_equal(folds_of(one), folds_of(NAMES))


def test_folds_of_groups_are_known():
    """Whatever the process: its hash of strings is another each time, and these are not."""
    code = """
import numpy as np
from dask_igtm.statistics.row_subsets import draw_groups
names = np.array([f"scaffold {number}" for number in range(40)])
print(draw_groups(names, 7, [0.25, 0.5, 0.75]).tolist())
"""
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1
    assert set(eval(told.pop())) == {0, 1, 2, 3}


def test_lazy_groups_stay_lazy_until_the_passes():
    computed = []

    def note(block):
        computed.append(len(block))
        return block

    lazy = da.from_array(X, chunks=(40, -1))
    groups = da.from_array(GROUPS, chunks=40).map_blocks(note, dtype=int, meta=np.empty(0, int))
    IGTMSearch(igtm(niter=2, persist=False), {"k": [3, 4]}, refit=False).fit(lazy, groups=groups)
    assert computed == [40] * 3 * (1 + 2 + 1)  # with the rows, in each pass


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.where(GROUPS == 3, np.nan, GROUPS), "groups has .* missing labels"),
        (GROUPS + 0.5, "fractions"),
        (GROUPS[:, None], r"groups has shape \(120, 1\)"),
        (pd.Series(GROUPS, index=np.arange(N)[::-1]), "groups has the rows of X in another order"),
    ],
    ids=["missing", "fractions", "column", "index"],
)
def test_groups_that_are_none_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        IGTMSearch(igtm(), {"k": [3]}).fit(pd.DataFrame(X), groups=groups)


def test_too_few_groups_leave_nothing_to_hold_out():
    with pytest.raises(ValueError, match="No row with weight was drawn to be held out"):
        IGTMSearch(igtm(), {"k": [3]}, cv=3).fit(X, groups=GROUPS % 2)
