"""A model of a file has arrays that fit together and mean something, or is refused with the reason."""

import numpy as np
import pytest
from helpers.data import correlated

from dask_igtm import IGTM
from dask_igtm.model import arrays as models
from dask_igtm.noise import families

X = correlated(200, 4)


def packed(**parameters):
    return models.pack(IGTM(k=4, m=2, niter=2, solver="em", **parameters).fit(X).model_)


def refused(arrays, reason):
    with pytest.raises(ValueError, match=reason):
        models.unpack(arrays, families.unpack(arrays))


def with_entry(array, value):
    array = array.copy()
    array.flat[0] = value
    return array


WRONG = {
    "nodes": [(lambda a: a[::-1], "nodes is not what it has to be"), (lambda a: a[1:], "nodes is not what")],
    "rbf_centers": [(lambda a: a + 0.1, "rbf_centers is not what it has to be")],
    "rbf_width": [(lambda a: a * 2, "phi is not what"), (lambda a: a * 0, "not above 0")],
    "phi": [
        (lambda a: with_entry(a, 0.5), "phi is not what"),
        (lambda a: a[:, :-1], r"phi has shape \(16, 4\)"),
    ],
    "mean": [(lambda a: with_entry(a, np.nan), "mean has entries that are not finite")],
    "scale": [(lambda a: with_entry(a, 0.0), "not above 0"), (lambda a: a[:3], r"shape \(3,\), and \(4\)")],
    "weights": [
        (lambda a: with_entry(a, np.inf), "weights has entries that are not finite"),
        (lambda a: a.T, r"weights has shape \(4, 5\), and \(5, 4\)"),
        (lambda a: a * 1j, "dtype complex128, and numbers"),
    ],
    "beta_inv": [(lambda a: -a, "not above 0"), (lambda a: np.full(4, a), r"shape \(4,\), and \(\)")],
    "standardised": [(lambda a: np.array(1.5), "dtype float64, and bools")],
    "missing": [(lambda a: np.array("guess"), "none of"), (lambda a: np.array("median"), "fill is missing")],
}


@pytest.mark.parametrize(
    ("name", "change", "reason"), [(n, *each) for n, all_ in WRONG.items() for each in all_]
)
def test_an_array_that_is_wrong_is_refused(name, change, reason):
    arrays = packed()
    refused({**arrays, name: change(arrays[name])}, reason)


@pytest.mark.parametrize("name", sorted(WRONG))
def test_an_array_that_is_missing_is_refused(name):
    arrays = packed()
    del arrays[name]
    refused(arrays, f"{name} is missing")


def test_what_only_some_maps_have_is_checked_too():
    arrays = packed(n_components=2, missing="mean")
    refused({**arrays, "axes": 2 * arrays["axes"]}, "axes are not orthonormal")
    refused({**arrays, "fill": arrays["fill"][:3]}, "fill has 3 values for 4 columns")
    refused({**arrays, "feature_names": np.array(["a", "b"])}, r"feature_names has shape \(2,\)")
    refused({**packed(noise="diagonal"), "noise": np.array("cauchy")}, "noise='cauchy'; give one of")
    refused({**packed(noise="diagonal"), "beta_inv": np.array(1.0)}, r"beta_inv has shape \(\), and \(4\)")
