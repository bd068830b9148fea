"""A saved atlas comes back with the same bits, and a file that says something else is refused."""

import contextlib
import warnings

import numpy as np
import pytest
from helpers.families import rows_of
from helpers.rewritten import rewritten

from dask_igtm import IGTM, IGTMAtlas, eIGTM, load
from dask_igtm.data import npz_io

OUTPUTS = ("means", "leaf", "node", "probability", "log_likelihood", "paths")
SETTINGS = {"k": 4, "m": 2, "niter": 5, "solver": "em"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 3)) + np.repeat(8 * np.eye(2, 3), 200, axis=0)
GIVEN = {"n_regions": 2, "min_samples": 30, "validation_fraction": 0.3}


@pytest.fixture(scope="module")
def atlas():
    found = IGTMAtlas(IGTM(**SETTINGS), child=IGTM(**SETTINGS | {"k": 3}), **GIVEN).fit(X)
    assert len(found.maps_) > 2
    assert any(trial.outcome != "kept" for trial in found.trials_)
    return found


@pytest.fixture
def path(atlas, tmp_path):
    atlas.save(tmp_path / "atlas")
    return tmp_path / "atlas"


def assert_same(back, atlas, rows):
    assert type(back) is IGTMAtlas
    assert repr(back.get_params()) == repr(atlas.get_params())
    assert repr(back.trials_) == repr(atlas.trials_)
    assert back.tree_.names == atlas.tree_.names
    for one, other in zip(back.tree_.maps, atlas.tree_.maps, strict=True):
        assert (one.parent, one.region, one.children) == (other.parent, other.region, other.children)
        assert one.regions.tobytes() == other.regions.tobytes()
        assert one.shares.tobytes() == other.shares.tobytes()
    for one, other in zip(back.maps_, atlas.maps_, strict=True):
        assert type(one) is type(other)
        assert repr(one.get_params()) == repr(other.get_params())
        for name in ("centers_", "history_", "weights_"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
        assert (one.n_passes_, one.stopped_by_, one.n_samples_seen_) == (
            other.n_passes_,
            other.stopped_by_,
            other.n_samples_seen_,
        )
    for one, other in zip(
        back.describe(rows, OUTPUTS).values(), atlas.describe(rows, OUTPUTS).values(), strict=True
    ):
        assert one.tobytes() == other.tobytes()
    assert back.table().equals(atlas.table())
    assert back.tree_.maps[0].model is back.maps_[0].model_


def test_it_comes_back_to_the_bit(atlas, path):
    assert_same(load(path), atlas, X)


@pytest.mark.parametrize("family", ["diagonal", "bernoulli", "poisson"])
def test_with_every_noise(family, tmp_path):
    rows = rows_of(family, 300)
    atlas = IGTMAtlas(IGTM(**SETTINGS, noise=family, scale=None), max_depth=1, **GIVEN)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="None of")
        atlas.fit(rows)
    atlas.save(tmp_path / "atlas")
    assert_same(load(tmp_path / "atlas"), atlas, rows)


def test_ugtms_maps_and_column_names(tmp_path):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(X, columns=list("abc"))
    atlas = IGTMAtlas(eIGTM(k=4, m=2, niter=5), **GIVEN).fit(frame)
    atlas.save(tmp_path / "atlas")
    back = load(tmp_path / "atlas")
    assert_same(back, atlas, frame)
    assert type(back.maps_[0]) is eIGTM
    assert back.feature_names_in_.tolist() == list("abc")
    with pytest.raises(ValueError, match="feature names"):
        back.transform(frame[list("cba")])


def test_an_atlas_that_is_loaded_is_saved_again_and_fitted_again(atlas, path, tmp_path):
    back = load(path)
    back.save(tmp_path / "again")
    assert_same(load(tmp_path / "again"), atlas, X)
    assert_same(back.fit(X), atlas, X)


def test_a_parameter_that_json_cannot_hold_is_refused_and_nothing_is_left(tmp_path):
    given = GIVEN | {"random_state": np.random.RandomState(0)}
    atlas = IGTMAtlas(IGTM(**SETTINGS), **given).fit(X)
    with pytest.raises(TypeError, match="cannot be saved"):
        atlas.save(tmp_path / "atlas")
    assert not list(tmp_path.iterdir())


def of_map(number, **changed):
    """Return what changes the header of one map."""
    return lambda header: header["maps"][number].update(changed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (of_map(0, children=[1]), "shares"),
        (of_map(0, children=[2, 1]), "none of a tree"),
        (of_map(0, children=[1, 1]), "none of a tree"),
        (of_map(0, children=[1, 99]), "none of a tree"),
        (of_map(0, children=[-1, -1]), "none of a tree"),
        (of_map(0, parent=1), "none of a tree"),
        (of_map(1, parent=1), "none of a tree"),
        (of_map(1, parent=-1), "none of a tree"),
        (of_map(1, region=5), "none of a tree"),
        (of_map(1, parent="root"), ""),
        (lambda header: header["maps"].pop(), "none of a tree"),
        (lambda header: header["maps"].clear(), "none of a tree"),
        (lambda header: header.pop("maps"), "KeyError 'maps'"),
        (lambda header: header.pop("estimators"), "KeyError 'estimators'"),
        (lambda header: header.pop("trials"), "KeyError 'trials'"),
        (lambda header: header["estimators"].pop("estimator"), "estimator"),
        (lambda header: header["estimators"].update(other=None), "other"),
        (lambda header: header["estimators"]["child"].update({"class": "os"}), "os"),
        (lambda header: header["estimators"]["child"]["parameters"].update(fit=1), "no parameters 'fit'"),
        (lambda header: header["parameters"].update(fit=1), "no parameters 'fit'"),
        (lambda header: header["trials"][0].update(fit=1), "a trial tells"),
        (lambda header: header["trials"][0].pop("gain"), "a trial tells"),
        (lambda header: header["trials"][0].update(n_rows="many"), "n_rows"),
        (lambda header: header["trials"][0].update(name=3), "name"),
        (lambda header: header["trials"].pop(0), "its trials kept"),
        (lambda header: header["maps"][1]["fitted"].pop("kernel_"), "of the fit, and not n_iter_"),
    ],
)
def test_a_header_that_says_something_else_is_refused(path, change, reason):
    with pytest.raises(ValueError, match=rf"(?s)atlas' is not a file saved .*damaged: .*{reason}"):
        load(rewritten(path, npz_io.MODEL, change))


def edited(name, edit):
    """Return what changes one array."""

    def change(arrays):
        arrays[name] = edit(arrays[name])

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (edited("0_regions", lambda a: a[1:]), "none of 16 nodes"),
        (edited("0_regions", lambda a: a + 1), "none of 16 nodes"),
        (edited("0_regions", lambda a: a * 0), "none of 16 nodes"),
        (edited("0_regions", lambda a: a.astype(float)), "none of 16 nodes"),
        (edited("0_shares", lambda a: a * 0.9), "none that sum to 1"),
        (edited("0_shares", lambda a: np.array([1.5, -0.5])), "none that sum to 1"),
        (edited("0_shares", lambda a: a * np.nan), "shares"),
        (edited("0_shares", lambda a: a[:1]), "shares"),
        (lambda arrays: arrays.pop("1_regions"), "1?_?regions"),
    ],
)
def test_arrays_that_say_something_else_are_refused(path, change, reason):
    with pytest.raises(ValueError, match=rf"(?s)damaged: .*{reason}"):
        load(rewritten(path, npz_io.MODEL, arrays=change))


def test_maps_of_other_rows_are_refused(path, tmp_path):
    """All maps of an atlas are of the same columns and kind of noise."""
    whole = path.read_bytes()
    for noise, rows in (("isotropic", X[:, :2]), ("bernoulli", (X > 0) * 1.0)):
        path.write_bytes(whole)
        IGTM(**SETTINGS | {"k": 3}, noise=noise).fit(rows).save(tmp_path / "other")
        header, arrays = npz_io.read(tmp_path / "other", npz_io.MODEL)

        def change_header(own, header=header):
            of_tree = {name: own["maps"][1][name] for name in ("parent", "region", "children")}
            own["maps"][1] = header | of_tree

        def change_arrays(own, arrays=arrays):
            kept = {name: own[name] for name in ("1_regions", "1_shares")}
            for name in [name for name in own if name.startswith("1_")]:
                del own[name]
            own |= {f"1_{name}": array for name, array in arrays.items()} | kept

        with pytest.raises(ValueError, match="damaged: its maps are of different columns or kinds of noise"):
            load(rewritten(path, npz_io.MODEL, change_header, change_arrays))


@pytest.mark.parametrize("at", [10, 0.3, 0.9, -5])
def test_a_file_that_was_cut_or_flipped_is_refused(path, at):
    whole = path.read_bytes()
    place = at if isinstance(at, int) else int(at * len(whole))
    path.write_bytes(whole[:place])
    with pytest.raises(ValueError, match="is not a file saved"):
        load(path)
    flipped = bytearray(whole)
    flipped[place] ^= 0xFF
    path.write_bytes(flipped)
    with contextlib.suppress(ValueError):
        back = load(path)  # where an archive says something twice, or nobody reads it
        back.save(path)
        assert path.read_bytes() == whole
