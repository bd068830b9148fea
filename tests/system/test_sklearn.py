"""scikit-learn's own checks, and the tools its users combine an estimator with."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from dask_igtm import IGTM


class OfColumns(IGTM):
    """A map with a noise a column, which has no axes; some checks ask whatever has that parameter for one."""

    def _settings(self, **given):
        return IGTM(**self.get_params() | {"n_components": None})._settings(**given)


# Data of the checks are scaled as they come; on some of them a map collapses, or lies far off the origin.
@pytest.mark.filterwarnings("ignore:The (map|column means):UserWarning")
@parametrize_with_checks(
    [
        IGTM(k=5, m=3, niter=5),
        IGTM(k=4, m=2, niter=15, scale="standard", solver="accelerated"),
        IGTM(k=4, m=2, niter=5, scale="standard", missing="median"),
        OfColumns(k=4, m=2, niter=5, scale="standard", noise="diagonal"),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_grid_search_over_a_pipeline(n_jobs):
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), IGTM(niter=5), KNeighborsClassifier())
    search = GridSearchCV(pipeline, {"igtm__k": [4, 6], "igtm__s": [0.3, 1.0]}, n_jobs=n_jobs, cv=3)
    assert search.fit(X, y).best_score_ > 0.8


def test_clone_keeps_every_parameter():
    other = {"scale": "center", "tol": 0.1, "solver": "accelerated", "missing": "mean", "n_components": 2}
    igtm = IGTM(3, 2, 0.5, 0.2, 7, 9, True, "modes", 2, persist=False, **other)
    assert clone(igtm).get_params() == igtm.get_params()
    igtm = IGTM(noise="poisson", exposure="total")
    assert repr(igtm) == "IGTM(exposure='total', noise='poisson')"
    assert clone(igtm).get_params() == igtm.get_params()


def test_feature_names_and_pandas_output():
    X = load_iris(as_frame=True).data
    igtm = IGTM(k=5, niter=3).set_output(transform="pandas").fit(X)
    assert igtm.feature_names_in_.tolist() == X.columns.tolist()
    map_ = igtm.transform(X.set_index(np.arange(len(X)) + 7))
    assert map_.columns.tolist() == ["igtm0", "igtm1"]
    assert map_.index[0] == 7
    with pytest.raises(ValueError, match="feature names"):
        igtm.transform(X[X.columns[::-1]])
