"""What a fitted map says of its fit."""

import numpy as np
import pandas as pd
import pytest
from helpers.data import correlated

from dask_igtm import IGTM
from dask_igtm.projection.fit_figures import fit_figures

X = correlated(60, 3)


def test_the_figures_of_a_fit():
    igtm = IGTM(k=3, m=2, niter=2).fit(X)
    assert fit_figures(igtm) == {
        "Rows": 60,
        "Columns": "3",
        "Nodes": "3 x 3",
        "Mean of ln p(x) a row": igtm.log_likelihood_,
        "Iterations": 2,
        "Converged": False,
        "Stopped by": "iterations",
        "Passes over the data": 3.0,
        "Noise": "isotropic",
        "Noise variance, in the units of the model": igtm.beta_inv_,
    }


def test_columns_are_named_as_far_as_a_line_holds_them():
    named = IGTM(k=3, m=2, niter=2).fit(pd.DataFrame(X, columns=["a", "b\x1b", "c"]))
    assert fit_figures(named)["Columns"] == r"3: a, b\x1b, c"
    wide = pd.DataFrame(correlated(60, 40)).add_prefix("a long name ")
    told = fit_figures(IGTM(k=3, m=2, niter=2, scale="standard").fit(wide))["Columns"]
    assert told.startswith("40: a long name 0, ")
    assert told.endswith(" ...")


@pytest.mark.parametrize(
    ("noise", "told"),
    [("diagonal", "Mean noise variance of a column, in the units of the model"), ("bernoulli", None)],
)
def test_noise_is_told_as_far_as_it_has_a_variance(noise, told):
    bits = (np.median(X, axis=0) < X).astype(float)
    figures = fit_figures(IGTM(k=3, m=2, niter=2, noise=noise).fit(bits))
    assert figures["Noise"] == noise
    assert [name for name in figures if "variance" in name] == ([told] if told else [])
