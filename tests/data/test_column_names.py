"""Tables whose columns have names: the fit of their values, and what the names are compared with."""

import dask
import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from helpers.data import correlated
from helpers.hostile import ACTIVE
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, convert, landscape, load, quality
from dask_igtm.data.column_names import column_names, series_name

X = correlated(400, 5)
NAMES = list("abcde")
FRAME = pd.DataFrame(X, columns=NAMES, index=np.arange(400) * 3)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, "scale": "center", **parameters})


def named(kind, columns=NAMES):
    return held(kind, FRAME[columns])


def held(kind, frame):
    labelled = {"dims": ("row", "column"), "coords": {"column": list(frame.columns)}}
    return {
        "pandas": lambda: frame,
        "dask": lambda: dd.from_pandas(frame, npartitions=3),
        "dask, unknown": lambda: dd.from_pandas(frame, npartitions=3).clear_divisions(),
        "xarray": lambda: xr.DataArray(frame.to_numpy(), **labelled),
        "lazy xarray": lambda: xr.DataArray(da.from_array(frame.to_numpy(), chunks=(150, 5)), **labelled),
        "zarr": lambda: stored(frame),
        "zarr path": lambda: stored(frame, f"memory://names/{'-'.join(frame.columns)}.zarr"),
    }[kind]()


def stored(frame, place=None):
    """A Zarr array with the names in its attribute, or its URL."""
    rows, place = frame.to_numpy(), place or zarr.storage.MemoryStore()
    layout = {"shape": rows.shape, "dtype": "f8", "chunks": (150, 5), "overwrite": True}
    array = zarr.create_array(place, **layout, attributes={"columns": list(frame.columns)})
    array[:] = rows
    return place if isinstance(place, str) else array


KINDS = ["pandas", "dask", "dask, unknown", "xarray", "lazy xarray", "zarr", "zarr path"]
LAZY = [kind for kind in KINDS if kind not in ("pandas", "xarray")]


@pytest.mark.parametrize("kind", KINDS)
def test_frames_give_the_fit_of_their_values_and_their_names(kind, tmp_path):
    given, one = named(kind), igtm().fit(X)
    other = igtm().fit(given)
    assert other.feature_names_in_.tolist() == NAMES
    assert_allclose(other.centers_, one.centers_, rtol=1e-8, atol=1e-9)
    assert_allclose(np.asarray(other.transform(given)), one.transform(X), atol=1e-9)
    assert_allclose(other.score(given), one.score(X))
    other.save(tmp_path / "model.npz")
    assert load(tmp_path / "model.npz").feature_names_in_.tolist() == NAMES
    weighted = igtm().fit(
        given, sample_weight=named(kind, ["a"])["a"] ** 2 if "dask" in kind else X[:, 0] ** 2
    )
    assert_allclose(
        weighted.centers_, igtm().fit(X, sample_weight=X[:, 0] ** 2).centers_, rtol=1e-7, atol=1e-8
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_columns_is_checked(kind):
    fitted = igtm().fit(named(kind))
    with pytest.raises(ValueError, match="same order"):
        fitted.transform(named(kind, NAMES[::-1]))
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(named(kind, NAMES[:4]))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.transform(X)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        fitted.transform(da.from_array(X))


@pytest.mark.parametrize("kind", LAZY)
def test_lazy_frames_stay_lazy(kind):
    fitted, given = igtm().fit(FRAME), named(kind)
    with dask.config.set(scheduler=computing):
        results = [fitted.transform(given), fitted.score_samples(given), fitted.impute(given)]
        fitted.set_params(model="complete").transform(given)
        fitted.set_params(model="means").set_output(transform="pandas").transform(given)
    held = [result.data if kind == "lazy xarray" else result for result in results]
    assert all(isinstance(result, da.Array) for result in held)


def test_frames_in_memory_keep_their_index():
    fitted = igtm().set_output(transform="pandas").fit(FRAME)
    result = fitted.transform(FRAME)
    assert_array_equal(result.index, FRAME.index)
    assert result.columns.tolist() == ["igtm0", "igtm1"]


def test_arrays_of_xarray_without_names_are_arrays():
    for given in (xr.DataArray(X), xr.DataArray(X, dims=("r", "c"), coords={"c": np.arange(5)})):
        assert not hasattr(igtm().fit(given), "feature_names_in_")
    with pytest.raises(ValueError, match="2D"):
        igtm().fit(xr.DataArray(X[0]))


@pytest.mark.parametrize(
    "labels", [[400.0, 410.5, 420, 430, 440], [7, 8, 9, 10, 11], np.array(list("abcde"), "S")]
)
def test_names_that_are_no_strings(labels):
    names = [label.decode() if isinstance(label, bytes) else str(label) for label in np.asarray(labels)]
    spectra = xr.DataArray(X, dims=("row", "nm"), coords={"nm": np.asarray(labels)})
    frame = pd.DataFrame(X, columns=pd.Index(labels))
    fitted = igtm().fit(spectra)
    assert fitted.feature_names_in_.tolist() == igtm().fit(frame).feature_names_in_.tolist() == names
    with pytest.raises(ValueError, match="same order"):
        fitted.transform(spectra[:, ::-1])


def test_levels_of_a_stacked_coordinate_make_one_name():
    by_level = xr.DataArray(X[:, :4].reshape(len(X), 2, 2), dims=("row", "level", "kind"))
    cube = xr.Dataset(
        {"t": by_level.assign_coords(level=[850, 1000], kind=list("pq")), "rain": ("row", X[:, 4])}
    )
    stacked = cube.to_stacked_array("column", sample_dims=["row"])
    fitted = igtm().fit(stacked)
    assert fitted.feature_names_in_.tolist() == ["t_850_p", "t_850_q", "t_1000_p", "t_1000_q", "rain"]
    with pytest.raises(ValueError, match="column 0 is 'rain' and was 't_850_p'"):
        fitted.transform(stacked[:, ::-1])


def test_columns_that_are_numbered_have_no_names_but_an_order():
    frame = pd.DataFrame(X)
    fitted = igtm().fit(frame)
    assert not hasattr(fitted, "feature_names_in_")
    assert_array_equal(fitted.transform(frame), fitted.transform(X))
    with pytest.raises(ValueError, match="column 0 is '4' and was '0'"):
        fitted.transform(frame[[4, 3, 2, 1, 0]])
    with pytest.warns(UserWarning, match="was fitted without feature names"):
        fitted.transform(FRAME)


def test_the_difference_is_shown():
    fitted = igtm().fit(FRAME)
    says = r"column 0 is 'b' and was 'a'; column 1 is 'a' and was 'b'\. Give the columns of the fit"
    with pytest.raises(ValueError, match=says):
        fitted.transform(FRAME[list("bacde")])
    says = r"(?s)unseen at fit time:\n- z.*missing:\n- c.*column 2 is 'z' and was 'c'"
    with pytest.raises(ValueError, match=says):
        fitted.transform(FRAME.rename(columns={"c": "z"}))
    wide = pd.DataFrame(np.tile(X, 4), columns=[f"n{i}" for i in range(20)])
    says = r"- n0\n- n1\n- n10\n- n11\n- n12\n- \.\.\.(?s:.*)so on in 20 columns"
    with pytest.raises(ValueError, match=says):
        igtm().fit(wide.add_prefix("m")).transform(wide)


@pytest.mark.parametrize("kind", ["pandas", "dask", "zarr", "xarray"])
def test_columns_of_the_same_name_are_refused(kind):
    with pytest.raises(ValueError, match="has several columns a, c; give each another name"):
        igtm().fit(held(kind, FRAME.set_axis(list("aabcc"), axis=1)))


LATER = {
    "describe": lambda fitted, X: fitted.describe(X),
    "score": lambda fitted, X: fitted.score(X),
    "transform_blocks": lambda fitted, X: list(fitted.transform_blocks(X)),
    "partial_fit": lambda fitted, X: fitted.partial_fit(X),
    "impute": lambda fitted, X: fitted.impute(X),
    "project_to_zarr": lambda fitted, X: fitted.project_to_zarr(X, "memory://names/never.zarr"),
    "density": landscape.density,
    "coverage": lambda fitted, X: landscape.coverage(fitted, FRAME, X),
    "quality": quality,
    "markers": landscape.markers,
}


@pytest.mark.parametrize("kind", ["pandas", "zarr"])
@pytest.mark.parametrize("later", LATER)
def test_every_later_use_compares_names(kind, later):
    fitted = igtm().fit(FRAME)
    with pytest.raises(ValueError, match="same order"):
        LATER[later](fitted, named(kind, NAMES[::-1]))


def test_a_map_to_set_out_from_has_the_same_names(tmp_path):
    igtm().fit(FRAME).save(tmp_path / "model.npz")
    first = load(tmp_path / "model.npz")
    igtm().fit(named("zarr"), init=first)
    igtm().fit(X, init=first)
    with pytest.raises(ValueError, match=r"go on from has other columns\.(?s:.*)column 0 is 'e' and was 'a'"):
        igtm().fit(FRAME[NAMES[::-1]], init=first)


def test_a_checkpoint_belongs_to_columns_of_its_names(tmp_path):
    igtm().fit(FRAME, checkpoint=tmp_path / "c.npz")
    longer = igtm(niter=8)
    with pytest.raises(ValueError, match=r"another fit: .*(?s:.*)column 0 is 'v' and was 'a'"):
        longer.fit(FRAME.set_axis(list("vwxyz"), axis=1), checkpoint=tmp_path / "c.npz")
    assert longer.fit(FRAME, checkpoint=tmp_path / "c.npz").n_iter_ == 8


def test_names_written_by_convert_are_compared(tmp_path):
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    one, other = str(tmp_path / "x.zarr"), str(tmp_path / "other.zarr")
    convert(str(tmp_path / "x.csv"), one)
    convert(str(tmp_path / "x.csv"), other, columns=list("bacde"))
    fitted = igtm().fit(one)
    assert fitted.feature_names_in_.tolist() == NAMES
    fitted.save(tmp_path / "model.npz")
    with pytest.raises(ValueError, match="column 0 is 'b' and was 'a'"):
        load(tmp_path / "model.npz").transform(other)


def test_an_attribute_that_is_no_list_of_names_is_left_alone():
    for attribute in ("abcde", 5, {"a": 1}):
        array = stored(FRAME)
        array.attrs["columns"] = attribute
        assert column_names(zarr.open_array(array.store, mode="r")) is None
    for attribute, n in ((["a", "b"], 2), ([None] * 5, 5), ([True] * 5, 5), ([["a"]] * 5, 5)):
        array.attrs["columns"] = attribute
        with pytest.warns(UserWarning, match=rf"has shape \(400, 5\) and {n} entries"):
            assert not hasattr(igtm().fit(zarr.open_array(array.store, mode="r")), "feature_names_in_")


def test_numbers_in_the_attribute_are_names():
    array = stored(FRAME)
    array.attrs["columns"] = [400, 410.5, 420, 430, 440]
    fitted = igtm().fit(zarr.open_array(array.store, mode="r"))
    assert fitted.feature_names_in_.tolist() == ["400", "410.5", "420", "430", "440"]
    array.attrs["columns"] = [410.5, 400, 420, 430, 440]
    with pytest.raises(ValueError, match=r"column 0 is '410.5' and was '400'"):
        fitted.transform(zarr.open_array(array.store, mode="r"))
    array.attrs["columns"] = list(range(5))
    assert not hasattr(igtm().fit(zarr.open_array(array.store, mode="r")), "feature_names_in_")


def test_properties_from_zarr_have_their_names():
    fitted = igtm().fit(X)
    found = landscape.property(fitted, X, named("zarr", ["a", "c"]))
    assert found.columns[:3] == ("a_mean", "a_std", "a_support")
    assert series_name(named("zarr", ["a"])) == "a"


def test_frames_with_gaps(tmp_path):
    frame = FRAME.mask(np.random.default_rng(0).random(X.shape) < 0.2)
    one = igtm(missing="marginalize").fit(frame)
    other = igtm(missing="marginalize").fit(dd.from_pandas(frame, npartitions=4))
    assert_allclose(other.centers_, one.centers_, rtol=1e-8, atol=1e-9)
    with pytest.raises(ValueError, match="column 'a'"):
        igtm().fit(dd.from_pandas(frame, npartitions=4))
    with pytest.raises(ValueError, match="no value in column 'c'"):
        igtm(missing="mean").fit(frame.assign(c=np.nan))


def test_frames_of_words_are_refused():
    words = FRAME.assign(kind="word", sort=pd.Categorical(["a"] * len(FRAME)))
    for X in (words, dd.from_pandas(words, npartitions=2)):
        with pytest.raises(ValueError, match="not numeric: 'kind', 'sort'; drop them"):
            igtm().fit(X)


def test_names_that_a_file_would_not_keep_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"called 'c\\x00', and NumPy keeps no NUL at the end; rename it"):
        igtm().fit(FRAME.rename(columns={"c": "c\0"}))
    names = ["a\0b", "\ud800", "</script>", *FRAME.columns[3:]]
    igtm().fit(FRAME.set_axis(names, axis=1)).save(tmp_path / "m.npz")
    assert load(tmp_path / "m.npz").feature_names_in_.tolist() == names


def test_names_of_bytes_that_are_no_utf8():
    names = (b"a", b"\xff", *FRAME.columns[2:])
    assert column_names(FRAME.set_axis(list(names), axis=1))[:2] == ("a", r"\xff")


def test_other_names_are_told_and_do_nothing():
    fitted = igtm().fit(FRAME)
    with pytest.raises(ValueError, match=r"- \\x1b\[2J\\n\n") as error:
        fitted.transform(FRAME.rename(columns={"a": "\x1b[2J\n"}))
    assert not ACTIVE.search(str(error.value))
