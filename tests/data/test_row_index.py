"""What goes with the rows of X is taken by their labels' word: in another order it is refused."""

import dask
import dask.dataframe as dd
import pandas as pd
import pytest
import xarray as xr
from helpers.data import correlated
from helpers.lazy import computing
from numpy.testing import assert_array_equal

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, landscape, plot
from dask_igtm.data.row_index import with_rows_of

N = 200
X = pd.DataFrame(correlated(N, 3), columns=list("abc"), index=[f"id{i}" for i in range(N)])
Y = X["a"]
SHUFFLED = Y.sample(frac=1, random_state=0)
SETTINGS = {"k": 4, "m": 2, "niter": 2, "tol": 0, "scale": "center"}
FITTED = IGTM(**SETTINGS).fit(X)


def xarray(frame):
    return xr.DataArray(frame.to_numpy(), dims=("id", "column"), coords={"id": frame.index})


USES = {
    "weights": lambda X, y: IGTM(**SETTINGS).fit(X, sample_weight=abs(y)),
    "partial_fit": lambda X, y: IGTM(**SETTINGS).partial_fit(X, sample_weight=abs(y)),
    "compare": lambda X, y: landscape.compare(FITTED, {"a": X}, {"a": abs(y)}),
    "projection": lambda X, y: plot.projection(FITTED, X, sample_weight=abs(y)),
    "property": lambda X, y: landscape.property(FITTED, X, y),
    "frame of properties": lambda X, y: landscape.property(FITTED, X, y.to_frame()),
    "classes": lambda X, y: landscape.classes(FITTED, X, (y > 0).astype(int)),
    "classifier": lambda X, y: IGTMClassifier(**SETTINGS).fit(X, (y > 0).astype(int)),
    "regressor": lambda X, y: IGTMRegressor(**SETTINGS).fit(X, y),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("table", [pd.DataFrame, xarray])
def test_another_order_is_refused(use, table):
    USES[use](table(X), Y)
    USES[use](X.to_numpy(), SHUFFLED)  # which has no order to differ from
    says = r"the rows of X in another order.*reindex\(X.index\), or .*to_numpy\(\)"
    with pytest.raises(ValueError, match=says):
        USES[use](table(X), SHUFFLED)


@pytest.mark.parametrize("use", USES)
def test_other_rows_are_refused(use):
    with pytest.raises(ValueError, match=r"other rows than X.*row 0 is other0, and in X id0"):
        USES[use](X, Y.rename(lambda label: label.replace("id", "other")))


@pytest.mark.parametrize("use", USES)
def test_lazy_frames_are_compared_as_they_are_read(use):
    lazy, y, shuffled = (dd.from_pandas(part, npartitions=4, sort=False) for part in (X, Y, SHUFFLED))
    USES[use](lazy, y)
    with pytest.raises(ValueError, match=r"the rows of X in another order|other rows than X"):
        USES[use](lazy, shuffled)


def test_a_lazy_frame_beside_rows_in_memory_is_compared():
    lazy = dd.from_pandas(SHUFFLED, npartitions=2, sort=False)
    with pytest.raises(ValueError, match="in another order"):
        landscape.property(FITTED, X, lazy)


def test_comparing_lazy_frames_computes_nothing():
    lazy, y = (dd.from_pandas(part, npartitions=4) for part in (X, Y))
    with dask.config.set(scheduler=computing):
        with_rows_of(lazy, y, "y")
        with_rows_of(xarray(X).chunk({"id": 50}), y, "y")


def test_what_has_no_index_goes_by_position():
    one = landscape.property(FITTED, X, Y).values
    assert_array_equal(landscape.property(FITTED, X, Y.to_numpy()).values, one)
    assert_array_equal(landscape.property(FITTED, X, Y.tolist()).values, one)
    with pytest.warns(UserWarning, match="valid feature names"):
        assert_array_equal(landscape.property(FITTED, X.to_numpy(), Y).values, one)


@pytest.mark.parametrize(
    ("index", "other"),
    [
        (pd.Index(["a", "b"], dtype=object), pd.Index(["a", "b"], dtype="string")),
        (pd.Index([1, 2]), pd.Index([1.0, 2.0])),
        (pd.Index([1, "a"]), pd.Index([1, "a"])),
        (pd.Index(["a", "b"], dtype="category"), pd.Index(["a", "b"])),
        (pd.MultiIndex.from_tuples([("a", 1), ("b", 2)]), pd.MultiIndex.from_tuples([("a", 1), ("b", 2)])),
    ],
)
def test_labels_are_compared_whatever_their_types(index, other):
    X, y = pd.DataFrame({"a": [1.0, 2.0]}, index=index), pd.Series([1, 2], index=other)
    assert with_rows_of(X, y, "y") is y
    with pytest.raises(ValueError, match="another order"):
        with_rows_of(X, y[::-1], "y")


def test_other_lengths_are_told_as_such():
    with pytest.raises(ValueError, match=r"X has 200 rows, but y has shape \(150,\)"):
        landscape.property(FITTED, X, SHUFFLED[:150])
