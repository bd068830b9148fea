"""Where many maps are fitted together, each kind of warning is given once for each candidate."""

import re
import warnings

import numpy as np
import pytest

from dask_igtm import IGTM, IGTMSearch, eIGTM, saturation
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting import fit_many, row_parts
from dask_igtm.projection.validate import seed_of

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)) * [4, 2, 1, 1]
SMALL = {"k": 4, "m": 2, "niter": 2, "scale": "standard"}


def told(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        function()
    assert {warning.filename for warning in caught} <= {__file__}
    return [(str(warning.message), warning.category) for warning in caught]


def search(grid=None, cv=3, **changed):
    igtm = IGTM(**SMALL | changed)
    return lambda: IGTMSearch(igtm, grid or {"k": [4]}, cv=cv, refit=False).fit(X)


@pytest.fixture
def warn_in_fold(monkeypatch):
    """Let the fits warn where they set out, each of what is said for its number."""

    def prepare(*messages):
        real, left = fit_many.set_out, list(messages)

        def warning(*args):
            for message, category in left.pop(0) if left else ():
                warnings.warn(message, category, stacklevel=2)
            return real(*args)

        monkeypatch.setattr(fit_many, "set_out", warning)

    return prepare


def test_a_later_fold_with_another_warning_is_heard(warn_in_fold):
    warn_in_fold([("The first.", UserWarning)], [], [("The second.", UserWarning)])
    assert told(search()) == [("k=4: The first.", UserWarning), ("k=4: The second.", UserWarning)]


def test_the_same_with_other_figures_is_heard_once(warn_in_fold):
    folds = [[(f"It grew by {figure} in 3 steps.", UserWarning)] for figure in ("0.5", "1e-05", "-2.5e+10")]
    warn_in_fold(*folds)
    assert told(search()) == [("k=4: It grew by 0.5 in 3 steps.", UserWarning)]


def test_every_candidate_is_heard(warn_in_fold):
    fold = [("The same.", UserWarning)]
    warn_in_fold(*[fold] * 6)
    found = told(search({"k": [3, 4]}))
    assert found == [("k=3: The same.", UserWarning), ("k=4: The same.", UserWarning)]


def test_a_fold_with_several_and_a_category_of_its_own(warn_in_fold):
    warn_in_fold(
        [("One.", UserWarning), ("Two.", RuntimeWarning)],
        [("Two.", RuntimeWarning), ("Three.", UserWarning)],
        [("One.", UserWarning)],
    )
    assert told(search()) == [
        ("k=4: One.", UserWarning),
        ("k=4: Two.", RuntimeWarning),
        ("k=4: Three.", UserWarning),
    ]


def test_shares_have_names_of_their_own(warn_in_fold):
    warn_in_fold([("One.", UserWarning)], [("One.", UserWarning)], [("Two.", UserWarning)])
    found = told(lambda: saturation(IGTM(**SMALL), X, shares=(0.25, 0.5, 1)))
    assert [message for message, _ in found] == ["share 1/4: One.", "share 1/2: One.", "share 1: Two."]


def test_all_kinds_of_a_real_search():
    """Three folds of a heavy ridge far off the origin: each says three things."""

    def heavy():
        IGTMSearch(eIGTM(k=4, m=2, niter=60), {"regul": [1e6, 1e-3]}, cv=3, refit=False).fit(X + 100)

    messages = [message for message, _ in told(heavy)]
    kinds = ["The column means of X are large", "The map may collapse", "The map has collapsed"]
    heavy_ones = [message for message in messages if message.startswith("regul=1000000.0: ")]
    assert [sum(kind in message for message in heavy_ones) for kind in kinds] == [1, 1, 1]
    assert len(heavy_ones) == 3
    assert not [message for message in messages if "regul=0.001" in message and "collapse" in message]


def test_folds_that_differ_are_all_heard():
    """The offset is large against the spread where the row far out is not among those of the fit."""
    rows, given = X + 100, {"k": 4, "m": 2, "niter": 3, "regul": 5.0}
    rows[7] = 1e5
    parts = row_parts.in_parts(row_blocks(rows), [1 / 3, 2 / 3], seed_of(1234), "this").y.compute()
    alone = [told(lambda fold=fold: IGTM(**given).fit(rows[parts != fold])) for fold in range(3)]
    wanted = [{kind(message) for message, _ in messages} for messages in alone]
    assert len(set(map(frozenset, wanted))) > 1
    found = told(lambda: IGTMSearch(IGTM(**given), {"k": [4]}, cv=3, refit=False).fit(rows))
    assert sorted(kind(message).removeprefix("k=: ") for message, _ in found) == sorted(set.union(*wanted))


def kind(message):
    return re.sub(r"[-\d.e+]*\d", "", message)


def test_an_error_names_its_candidate():
    with pytest.raises(ValueError, match="equal") as caught:
        saturation(IGTM(**SMALL), np.ones((50, 3)), shares=(0.5, 1))
    assert any("share" in note for note in caught.value.__notes__)
