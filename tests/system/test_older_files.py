"""Files that 0.1.0 wrote before its modules moved are read as it read them."""

import dataclasses
import inspect
import json
import shutil

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose
from oracles import write_files as written

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, __version__, eIGTM, landscape, load
from dask_igtm.data import npz_io
from dask_igtm.estimators.saving import PARAMETERS_OF_0_1
from dask_igtm.model.basis import make_basis
from dask_igtm.solvers import accelerated
from dask_igtm.solvers.em import Iteration
from dask_igtm.solvers.initialize import initialize
from dask_igtm.solvers.lbfgs import Point, Secant
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

FOLDER = written.Path(written.__file__).parent / "files_of_0_1"
X, Y, LABELS = written.rows()
SAME_RELEASE = pytest.mark.skipif(
    __version__ != "0.1.0",
    reason="checkpoints serve the release that wrote them",
)


@pytest.fixture(scope="module")
def expected():
    return np.load(FOLDER / "expected.npz")


def close(found, wanted):
    assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)  # on any processor


def test_a_model(expected):
    igtm = load(FOLDER / "model.npz")
    assert type(igtm) is IGTM
    assert (igtm.k, igtm.niter, igtm.random_state, igtm.n_iter_) == (4, 8, 7, 8)
    assert (igtm.stopped_by_, igtm.converged_) == ("iterations", False)
    close(igtm.transform(X), expected["model_means"])
    close(igtm.score_samples(X), expected["model_scores"])
    assert igtm.applicability(X, 1.0).all()


def test_names_gaps_and_axes(expected):
    igtm = load(FOLDER / "named.npz")
    frame = written.with_gaps(X)
    assert igtm.feature_names_in_.tolist() == list(frame.columns)
    close(igtm.transform(frame), expected["named_means"])


def test_a_stream_goes_on(expected):
    stream = load(FOLDER / "stream.npz")
    assert stream.stopped_by_ == "iterations"
    close(stream.partial_fit(X[:32]).transform(X), expected["stream_means"])


def test_a_stream_that_knows_nothing_of_its_rows_learns_it_of_the_next(tmp_path):
    stream = load(FOLDER / "stream.npz")
    stream.save(tmp_path / "stream.npz")
    stream = load(tmp_path / "stream.npz")
    with pytest.raises(ValueError, match=r"older release.*reference="):
        stream.applicability(X)
    deviance = stream.describe(X[:32], ("deviance",))["deviance"]
    assert stream.partial_fit(X[:32]).deviance_[-1] == pytest.approx(deviance.max())


def test_predictors(expected):
    classifier, regressor = load(FOLDER / "classifier.npz"), load(FOLDER / "regressor.npz")
    assert type(classifier) is IGTMClassifier
    assert (classifier.prior, classifier.classes_.tolist()) == (written.PRIOR, ["high", "low"])
    close(classifier.predict_proba(X), expected["classifier_proba"])
    assert type(regressor) is IGTMRegressor
    close(regressor.predict(X), expected["regressor_values"])


@pytest.mark.parametrize("kind", ["density", "property", "classes"])
def test_landscapes(kind, expected):
    found = landscape.load_landscape(FOLDER / f"landscape_{kind}.npz")
    assert found.kind == kind
    close(found.values, expected[f"landscape_{kind}"])
    if kind == "property":
        close(found.part("mean"), found.values[:, [0, 3]])


@SAME_RELEASE
@pytest.mark.parametrize("solver", written.SOLVERS)
def test_a_checkpoint_is_gone_on_from(solver, expected, tmp_path):
    path = shutil.copy(path_of(solver), tmp_path)
    events = []
    igtm = written.fit_with(solver, 20, X, checkpoint=path, callbacks=[events.append])
    assert [event.number for event in events] == [15, 16, 17, 18, 19, 20]
    if solver == "accelerated":  # whose steps from what the file holds are others by now
        close(igtm.model_.weights, six_steps_from(np.load(path_of(solver))).weights)
    else:
        close(igtm.centers_, expected[f"checkpoint_{solver}_centers"])


def path_of(solver):
    return FOLDER / f"checkpoint_{solver}.npz"


def six_steps_from(file):
    """Return the map to which the solver comes from what a file says, read here by hand."""
    small = written.SMALL
    basis = make_basis(small["k"], small["m"], small["s"])
    start = initialize(moments_of(X, None), basis, regul=small["regul"], scale="center")

    def model(name):
        return dataclasses.replace(
            start.model, weights=file[f"{name}_weights"], beta_inv=float(file[f"{name}_beta_inv"])
        )

    best = Point(
        model("best"),
        model("em"),
        *(float(file[name]) for name in ("weight", "objective")),
        file["gradient"],
        start.model.noise.metric_of(file, start.model),
    )
    state = accelerated.State(
        model("model"),
        tuple(Iteration(*values) for values in file["history"].tolist()),
        calm=int(file["calm"]),
        best=best,
        direction=file["direction"],
        failures=int(file["failures"]),
        secants=tuple(map(Secant, file["steps"], file["losses"])),
        age=14,
    )
    for _ in range(6):
        state = state.step(e_step(X, None, state.model, "numpy"), start.prior, 0.0)
    return state.result


def test_a_projection_without_digests_of_its_rows_is_refused_and_left_as_it_is(tmp_path):
    path = shutil.copytree(FOLDER / "projection.zarr", tmp_path / "projection.zarr")
    lazy = da.from_array(X, chunks=(16, 4))
    with pytest.raises(ValueError, match=r"has format 1, .*; give another path, or remove it"):
        load(FOLDER / "model.npz").project_to_zarr(lazy, path, written.OUTPUTS)
    for file in (FOLDER / "projection.zarr").rglob("*"):
        there = path / file.relative_to(FOLDER / "projection.zarr")
        assert file.is_dir() or there.read_bytes() == file.read_bytes()


def without(name, tmp_path, **changed):
    """A copy of a file whose header lacks a parameter, or says something else."""
    header, arrays = npz_io.read(FOLDER / "model.npz", npz_io.MODEL)
    header["parameters"].pop(name, None)
    text = json.dumps(header | changed)
    np.savez(tmp_path / "model.npz", header=np.array(text), **arrays)
    return tmp_path / "model.npz"


def test_what_a_file_lacks_comes_from_a_table_and_not_from_a_signature(tmp_path, monkeypatch):
    monkeypatch.setitem(IGTM.__init__.__kwdefaults__, "tol", 99.0)
    assert IGTM().tol == 99.0
    assert load(without("tol", tmp_path)).tol == 1e-4


@pytest.mark.parametrize("name", sorted(PARAMETERS_OF_0_1.keys() - {"prior"}))
def test_a_file_may_lack_any_parameter(name, tmp_path):
    assert getattr(load(without(name, tmp_path)), name) == PARAMETERS_OF_0_1[name]


@pytest.mark.parametrize("kind", [IGTM, eIGTM, IGTMClassifier, IGTMRegressor])
def test_every_parameter_has_its_value_of_0_1(kind):
    parameters = inspect.signature(kind.__init__).parameters.values()
    known = {p.name: p.default for p in parameters if p.name != "self"}
    changed = {} if kind is eIGTM else {"scale": "auto", "solver": "auto"}  # which files do not lack
    assert known.items() <= (PARAMETERS_OF_0_1 | changed).items()


def test_a_class_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"holds a GTM3D.*upgrade dask_igtm"):
        load(without("", tmp_path, **{"class": "GTM3D"}))
