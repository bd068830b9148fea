"""A fit that was cut goes on from its checkpoint to the bits of one that was not."""

import dataclasses
import logging
import os
import socket
import warnings

import dask.array as da
import numpy as np
import pytest
from helpers.cut import bits, cut_after
from helpers.data import correlated
from helpers.rewritten import rewritten
from helpers.rights import rights

from dask_igtm import IGTM
from dask_igtm.data import npz_io
from dask_igtm.fitting import fit, start
from dask_igtm.statistics.moments import moments_of

X = correlated(600, 5)


def estimator(**changed):
    return IGTM(**({"k": 6, "m": 3, "niter": 30, "tol": 0, "solver": "em"} | changed))


@pytest.mark.parametrize("solver", ["em", "accelerated"])
@pytest.mark.parametrize("n_passes", [1, 2, 14, 30, 31])
def test_a_cut_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch, solver, n_passes):
    whole = estimator(solver=solver).fit(X)
    cut_after(monkeypatch, n_passes, OSError("the scheduler is gone"))
    with pytest.raises(OSError, match="gone") as caught:
        estimator(solver=solver).fit(X, checkpoint=tmp_path / "fit.npz")
    monkeypatch.undo()
    done = n_passes - 1
    assert any(f"The {done} iterations" in note and "fit.npz" in note for note in caught.value.__notes__)
    again = estimator(solver=solver).fit(X, checkpoint=tmp_path / "fit.npz")
    assert bits(again) == bits(whole)
    assert again.n_passes_ == whole.n_passes_ == 31


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_what_was_done_is_not_done_again(tmp_path, caplog, solver):
    estimator(solver=solver, niter=20).fit(X, checkpoint=str(tmp_path / "fit.npz"))
    with caplog.at_level(logging.INFO, "dask_igtm"):
        longer = estimator(solver=solver).fit(X, checkpoint=str(tmp_path / "fit.npz"))
    done = [record.message for record in caplog.records if record.message.startswith("iteration")]
    assert len(done) == 10
    assert any("after iteration 20" in record.message for record in caplog.records)
    assert bits(longer) == bits(estimator(solver=solver).fit(X))


def test_a_finished_fit_only_takes_its_likelihood_again(tmp_path, monkeypatch):
    first = estimator(tol=1e-2).fit(X, checkpoint=tmp_path / "fit.npz")
    assert first.converged_
    cut_after(monkeypatch, 2, AssertionError("a pass too many"))
    assert bits(estimator(tol=1e-2).fit(X, checkpoint=tmp_path / "fit.npz")) == bits(first)


OTHER_FITS = {
    "regul": (X, {"regul": 0.2}),
    "scale": (X, {"scale": "standard"}),
    "solver": (X, {"solver": "accelerated"}),
    "chunks": (X, {"n_blocks": 3}),
    "shape": (X[:-1], {}),
    "dtype": (X.astype(np.float32), {}),
    "moments": (X + 1e-9, {}),
}


@pytest.mark.parametrize("name", OTHER_FITS)
def test_another_fit_is_refused_by_what_differs(tmp_path, name):
    estimator(niter=2).fit(X, checkpoint=tmp_path / "fit.npz")
    before = (tmp_path / "fit.npz").read_bytes()
    data, changed = OTHER_FITS[name]
    with pytest.raises(ValueError, match=rf"belongs to another fit: .*{name} was"):
        estimator(**changed).fit(data, checkpoint=tmp_path / "fit.npz")
    assert (tmp_path / "fit.npz").read_bytes() == before


def test_whether_empty_rows_are_kept_belongs_to_a_fit(tmp_path):
    rows = X.copy()
    rows[::7] = np.nan
    estimator(niter=2, missing="marginalize").fit(rows, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match="keep_empty_rows was None and is True"):
        estimator(missing="marginalize", keep_empty_rows=True).fit(rows, checkpoint=tmp_path / "fit.npz")


def test_weights_belong_to_a_fit(tmp_path):
    estimator(niter=2).fit(X, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match="weighted was False and is True"):
        estimator().fit(X, sample_weight=np.ones(len(X)), checkpoint=tmp_path / "fit.npz")


def test_another_release_or_kernel_is_refused(tmp_path, monkeypatch):
    estimator(niter=2).fit(X, checkpoint=tmp_path / "fit.npz")
    monkeypatch.setattr(fit, "__version__", "99.0")
    monkeypatch.setattr(fit, "best_kernel", lambda: "none")
    with pytest.raises(ValueError, match=r"kernel was .* and is 'none'; version was .* and is '99.0'"):
        estimator().fit(X, checkpoint=tmp_path / "fit.npz")


# Another machine


def other_machine(monkeypatch, change=1e-15, kernel="numpy"):
    """Let moments differ as those of another BLAS do, and the kernel be another."""

    def rounded(*args):
        moments = moments_of(*args)
        return dataclasses.replace(
            moments, mean=moments.mean * (1 + change), scatter=moments.scatter * (1 - 2 * change)
        )

    monkeypatch.setattr(start, "moments_of", rounded)
    monkeypatch.setattr(fit, "best_kernel", lambda: kernel)


@pytest.mark.parametrize("parameters", [{}, {"solver": "accelerated"}, {"n_components": 3}], ids=str)
def test_another_machine_goes_on_and_says_that_bits_may_differ(tmp_path, monkeypatch, parameters):
    whole = estimator(**parameters).fit(X)
    estimator(niter=10, **parameters).fit(X, checkpoint=tmp_path / "fit.npz")
    other_machine(monkeypatch)
    with pytest.warns(UserWarning, match=r"fit.npz.*another machine.*bits may differ"):
        again = estimator(**parameters).fit(X, checkpoint=tmp_path / "fit.npz")
    assert again.kernel_ == "numpy"
    np.testing.assert_allclose(again.history_, whole.history_, rtol=1e-9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the file is this machine's now
        estimator(**parameters).fit(X, checkpoint=tmp_path / "fit.npz")


def test_other_data_are_refused_by_the_column_that_differs_most(tmp_path, monkeypatch):
    estimator(niter=2).fit(X, checkpoint=tmp_path / "fit.npz")
    other = np.array(X)
    other[17, 3] += 1e-6
    with pytest.raises(ValueError, match=r"moments was .*the mean of column 3 was"):
        estimator().fit(other, checkpoint=tmp_path / "fit.npz")
    flipped = 2 * X.mean(axis=0) - X
    flipped[:, 2] = 2 * (flipped[:, 2] - X[:, 2].mean()) + X[:, 2].mean()
    with pytest.raises(ValueError, match=r"moments was .*the standard deviation of column 2 was"):
        estimator().fit(flipped, checkpoint=tmp_path / "fit.npz")
    other_machine(monkeypatch, change=1e-9)
    with pytest.raises(ValueError, match=r"moments was"):
        estimator().fit(X, checkpoint=tmp_path / "fit.npz")


def test_a_file_that_tells_only_the_bits_of_moments(tmp_path, monkeypatch):
    """As those of the releases before this one do."""
    path = tmp_path / "fit.npz"
    estimator(niter=2).fit(X, checkpoint=path)
    header, arrays = npz_io.read(path, npz_io.CHECKPOINT)
    arrays = {name: array for name, array in arrays.items() if not name.startswith("rows_")}
    npz_io.write(path, npz_io.CHECKPOINT, {"fingerprint": header["fingerprint"]}, arrays)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        other_machine(patch)
        with pytest.raises(ValueError, match=r"moments was .*tells no more"):
            estimator().fit(X, checkpoint=path)
    assert path.read_bytes() == before
    assert bits(estimator().fit(X, checkpoint=path)) == bits(estimator().fit(X))


def test_axes_that_another_machine_turns_otherwise_are_refused(tmp_path):
    path = tmp_path / "fit.npz"
    estimator(niter=2, n_components=3).fit(X, checkpoint=path)
    header, arrays = npz_io.read(path, npz_io.CHECKPOINT)
    arrays["axes"] = arrays["axes"][:, [1, 0, 2]]
    npz_io.write(path, npz_io.CHECKPOINT, {"fingerprint": header["fingerprint"]}, arrays)
    with pytest.raises(ValueError, match="belongs to another fit: principal axes"):
        estimator(n_components=3).fit(X, checkpoint=path)


def test_a_fit_at_the_same_time_is_seen_after_the_first_pass(monkeypatch):
    path = "memory://meanwhile/fit.npz"  # where there are no locks

    def meanwhile(*args):
        monkeypatch.undo()
        estimator(niter=2, regul=0.2).fit(X, checkpoint=path)
        return moments_of(*args)

    monkeypatch.setattr(start, "moments_of", meanwhile)
    with pytest.raises(ValueError, match=r"another fit: regul was 0\.2 and is 0\.1"):
        estimator().fit(X, checkpoint=path)


def test_settings_are_compared_before_the_first_pass(tmp_path):
    def computed(block):
        raise AssertionError("a block was computed")

    lazy = da.from_array(X, chunks=(100, 5))
    estimator(niter=2).fit(lazy, checkpoint=tmp_path / "fit.npz")
    failing = lazy.map_blocks(computed, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(ValueError, match=r"regul was 0\.1 and is 0\.5"):
        estimator(regul=0.5).fit(failing, checkpoint=tmp_path / "fit.npz")


def test_chunks_of_unknown_size(tmp_path):
    lazy = da.from_array(X, chunks=(100, 5))
    unknown = lazy[lazy[:, 0] > -np.inf]
    estimator(niter=5).fit(unknown, checkpoint=tmp_path / "fit.npz")
    longer = estimator().fit(unknown, checkpoint=tmp_path / "fit.npz")
    assert bits(longer) == bits(estimator().fit(unknown))


@pytest.mark.parametrize("n_passes", [2, 15, 31])
@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_ctrl_c_leaves_a_checkpoint_and_a_usable_map(tmp_path, monkeypatch, solver, n_passes):
    cut_after(monkeypatch, n_passes, KeyboardInterrupt())
    igtm = estimator(solver=solver)
    with pytest.raises(KeyboardInterrupt):
        igtm.fit(X, checkpoint=tmp_path / "fit.npz")
    monkeypatch.undo()
    done = n_passes - 1
    assert igtm.n_iter_ == igtm.n_passes_ == len(igtm.history_) == done
    assert not igtm.converged_
    assert np.isnan(igtm.log_likelihood_)
    assert igtm.transform(X).shape == (600, 2)
    assert igtm.score(X) >= igtm.history_[0]
    igtm.save(tmp_path / "model.npz")
    if solver == "em":
        assert igtm.centers_.tobytes() == estimator(niter=done).fit(X).centers_.tobytes()
    assert bits(igtm.fit(X, checkpoint=tmp_path / "fit.npz")) == bits(estimator(solver=solver).fit(X))


def test_ctrl_c_before_there_is_a_map_leaves_the_estimator_as_it_was(monkeypatch):
    igtm = estimator(niter=2).fit(X)
    before = bits(igtm)
    cut_after(monkeypatch, 0, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        igtm.fit(X[:, :3])
    assert igtm.n_features_in_ == 5
    assert bits(igtm) == before


@pytest.mark.parametrize("keep", [0, 100, -10])
def test_a_truncated_checkpoint_is_refused(tmp_path, keep):
    estimator(niter=2).fit(X, checkpoint=tmp_path / "fit.npz")
    (tmp_path / "fit.npz").write_bytes((tmp_path / "fit.npz").read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"fit.npz.*damaged"):
        estimator().fit(X, checkpoint=tmp_path / "fit.npz")


@pytest.mark.parametrize(
    ("solver", "name", "array", "reason"),
    [
        ("em", "model_weights", np.full((10, 5), np.nan), "model_weights has entries that are not finite"),
        ("em", "model_beta_inv", np.array(0.0), "model_beta_inv has entries that are not above 0"),
        ("em", "calm", np.array(-1.0), "calm is -1.0, and no whole number"),
        ("em", "history", np.ones((2, 30)), "TypeError"),
        ("em", "rows_mean", np.ones(4), r"rows_mean has shape \(4,\), and \(5\)"),
        ("accelerated", "steps", np.ones((3, 7)), r"steps has shape \(3, 7\), and \(any, 51\)"),
        ("accelerated", "metric", np.ones((2, 2)), r"metric has shape \(2, 2\), and \(10, 10\)"),
        ("accelerated", "gradient", np.ones(3), r"gradient has shape \(3,\), and \(51\)"),
        ("sampled", "stage", np.array(7.0), "0 ends of searches in stage 7"),
    ],
)
def test_a_state_that_cannot_be_is_refused(tmp_path, solver, name, array, reason):
    estimator(solver=solver, niter=8).fit(X, checkpoint=tmp_path / "fit.npz")
    rewritten(tmp_path / "fit.npz", npz_io.CHECKPOINT, arrays=lambda arrays: arrays.update({name: array}))
    before = (tmp_path / "fit.npz").read_bytes()
    with pytest.raises(ValueError, match=rf"fit.npz' is not a file saved .*damaged: .*{reason}"):
        estimator(solver=solver).fit(X, checkpoint=tmp_path / "fit.npz")
    assert (tmp_path / "fit.npz").read_bytes() == before


def test_a_map_beyond_all_rows_is_refused(tmp_path):
    estimator(niter=8).fit(X, checkpoint=tmp_path / "fit.npz")

    def far(arrays):
        arrays["model_weights"][:] = 1e308

    rewritten(tmp_path / "fit.npz", npz_io.CHECKPOINT, arrays=far)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="No row of X has a probability"):
        estimator().fit(X, checkpoint=tmp_path / "fit.npz")


def test_a_model_is_no_checkpoint_and_is_not_overwritten(tmp_path):
    igtm = estimator(niter=2).fit(X)
    igtm.save(tmp_path / "model.npz")
    before = (tmp_path / "model.npz").read_bytes()
    with pytest.raises(ValueError, match=r"not a dask_igtm checkpoint.*'dask_igtm model'"):
        estimator().fit(X, checkpoint=tmp_path / "model.npz")
    assert (tmp_path / "model.npz").read_bytes() == before


def test_a_checkpoint_that_cannot_be_written_is_said_before_the_first_pass(tmp_path, monkeypatch):
    cut_after(monkeypatch, 0, AssertionError("a pass"))
    with pytest.raises(FileNotFoundError, match="no folder"):
        estimator().fit(X, checkpoint=tmp_path / "nothing" / "fit.npz")
    with rights(tmp_path, 0o555), pytest.raises(PermissionError, match="cannot be written"):
        estimator().fit(X, checkpoint=tmp_path / "fit.npz")


def test_an_interrupted_write_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    def fill_the_disk(event):
        if event.number == 5:
            monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space"):
        estimator().fit(X, checkpoint=tmp_path / "fit.npz", callbacks=[fill_the_disk])
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["fit.npz"]
    _, arrays = npz_io.read(tmp_path / "fit.npz", npz_io.CHECKPOINT)
    assert len(arrays["history"]) == 5
    assert bits(estimator().fit(X, checkpoint=tmp_path / "fit.npz")) == bits(estimator().fit(X))


def test_a_checkpoint_takes_kilobytes(tmp_path):
    wide = correlated(5000, 50)
    IGTM(niter=3, solver="em").fit(wide, checkpoint=tmp_path / "em.npz")
    assert (tmp_path / "em.npz").stat().st_size < 20_000
    IGTM(niter=40, tol=0, solver="accelerated").fit(wide, checkpoint=tmp_path / "accelerated.npz")
    assert (tmp_path / "accelerated.npz").stat().st_size < 400_000


def test_object_stores():
    target = "memory://checkpoints/fit.npz"
    estimator(niter=10).fit(X, checkpoint=target)
    assert bits(estimator().fit(X, checkpoint=target)) == bits(estimator().fit(X))


def test_a_checkpoint_is_read_once(tmp_path, monkeypatch):
    estimator(niter=5).fit(X, checkpoint=tmp_path / "fit.npz")
    reads, read = [], npz_io.read
    monkeypatch.setattr(npz_io, "read", lambda *args: reads.append(args) or read(*args))
    again = estimator().fit(X, checkpoint=tmp_path / "fit.npz")
    assert len(reads) == 1
    assert bits(again) == bits(estimator().fit(X))


def test_what_is_no_file_is_refused_before_the_first_pass(tmp_path, monkeypatch):
    cut_after(monkeypatch, 0, AssertionError("a pass"))
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("fit.npz")
    with pytest.raises(FileExistsError, match=r"There is a socket at 'fit\.npz'"):
        estimator().fit(X, checkpoint="fit.npz")
    assert os.listdir() == ["fit.npz"]


def test_a_link_to_a_checkpoint_stays_one(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "fit.npz").symlink_to("far/fit.npz")
    whole = bits(estimator().fit(X))
    for _ in range(2):
        assert bits(estimator().fit(X, checkpoint=tmp_path / "fit.npz")) == whole
    assert (tmp_path / "fit.npz").is_symlink()
    assert os.listdir(tmp_path / "far") == ["fit.npz"]
