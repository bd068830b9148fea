"""What notebooks show of estimators: the diagram of scikit-learn, and what was fitted once it was."""

import re
from html import unescape

import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated
from sklearn import config_context
from sklearn.base import BaseEstimator

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, eIGTM

X = correlated(90, 3)
SMALL = {"k": 3, "m": 2, "niter": 2}


def fitted(html):
    """Return the figures that stand below the diagram; an empty dict without them."""
    below = html.partition("<summary>Fitted</summary>")[2]
    cells = [unescape(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", below)]
    return dict(zip(cells[::2], cells[1::2], strict=True))


def shown(estimator):
    """Return the HTML of an estimator, which is the same for all that ask."""
    html = estimator._repr_mimebundle_()["text/html"]
    numbered = re.compile(r"id-\d+")  # scikit-learn counts its diagrams
    assert numbered.sub("", html) == numbered.sub("", estimator._repr_html_())
    return html


@pytest.mark.parametrize("estimator", [IGTM(**SMALL), eIGTM(**SMALL)])
def test_a_map_shows_its_fit(estimator):
    assert fitted(shown(estimator)) == {}
    figures = fitted(shown(estimator.fit(X)))
    assert figures["Rows"] == "90"
    assert figures["Columns"] == "3"
    assert figures["Nodes"] == "3 x 3"
    assert figures["Iterations"] == "2"
    assert figures["Converged"] == "no"
    assert figures["Stopped by"] == "iterations"
    assert figures["Noise"] == "isotropic"
    assert float(figures["Mean of ln p(x) a row"]) == pytest.approx(estimator.log_likelihood_, rel=1e-5)


def test_predictors_show_their_map():
    classifier = IGTMClassifier(**SMALL)
    assert fitted(shown(classifier)) == {}
    classifier.fit(X, np.where(X[:, 0] > 1, "<script>", "b"))
    assert fitted(shown(classifier))["Classes"] == "2: <script>, b"
    assert "<script>, b" not in shown(classifier)
    assert fitted(shown(IGTMRegressor(**SMALL).fit(X, X[:, 0])))["Nodes"] == "3 x 3"


@pytest.mark.parametrize("refit", [True, False])
def test_a_search_shows_its_best(refit):
    search = IGTMSearch(IGTM(**SMALL), {"k": [3, 4]}, cv=2, refit=refit)
    assert fitted(shown(search)) == {}
    figures = fitted(shown(search.fit(X)))
    assert (figures["Candidates"], figures["Folds"]) == ("2", "2")
    k = search.best_params_["k"]
    assert figures["Best"] == f"k={k}"
    assert float(figures["Its mean score"]) == pytest.approx(search.best_score_, rel=1e-5)
    assert figures.get("Nodes") == (f"{k} x {k}" if refit else None)


def test_names_of_columns_are_text():
    frame = pd.DataFrame(X, columns=["<b>a</b>", '"><img src=x>', "c\x1b"])
    html = shown(IGTM(**SMALL).fit(frame))
    assert fitted(html)["Columns"] == '3: <b>a</b>, "><img src=x>, c\\x1b'
    assert "<img" not in html.partition("<summary>Fitted</summary>")[2]
    assert "<b>" not in html.partition("<summary>Fitted</summary>")[2]


def test_text_is_that_of_scikit_learn():
    igtm = IGTM(**SMALL).fit(X)
    assert repr(igtm) == igtm._repr_mimebundle_()["text/plain"] == BaseEstimator.__repr__(igtm)
    with config_context(display="text"):
        assert igtm._repr_mimebundle_().keys() == {"text/plain"}
        assert not hasattr(igtm, "_repr_html_")
