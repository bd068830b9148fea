"""The commands: what they write where, what they tell of it, and how they go on."""

import json
import signal
import subprocess
import sys
import time
import types

import dask.array as da
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.command_line import FIT, HEEDING
from helpers.data import correlated
from helpers.families import rows_of
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm import IGTM, IGTMAtlas, load

X = correlated(600, 5)
COMMANDS = ("convert", "fit", "zoom", "atlas", "transform", "report", "info", "estimate")
SMALL = ("--k", "4", "--m", "2", "--niter", "5", "--tol", "0")


def test_from_a_file_to_a_map(cli):
    np.save("x.npy", X)
    assert cli("convert", "x.npy", "again.zarr")[0] == 0
    assert_array_equal(zarr.open_array("again.zarr")[:], X)
    assert cli("fit", "again.zarr", "-o", "m.npz", *SMALL, "--scale", "standard")[0] == 0
    assert (
        cli("transform", "m.npz", "again.zarr", "-o", "y.zarr", "--outputs", "means,log_likelihood")[0] == 0
    )
    igtm = IGTM(k=4, m=2, niter=5, tol=0, scale="standard").fit(da.from_array(X, chunks=(600, 5)))
    assert load("m.npz").centers_.tobytes() == igtm.centers_.tobytes()
    assert load("m.npz").get_params() == igtm.get_params()
    group = zarr.open_group("y.zarr", mode="r")
    assert sorted(group.array_keys()) == ["log_likelihood", "means"]
    assert_array_equal(group["means"][:], igtm.transform(X))


def test_from_a_sparse_file_to_a_map(cli):
    rows = sparse.random_array((600, 8), density=0.25, random_state=np.random.default_rng(0), format="csr")
    sparse.save_npz("s.npz", rows)
    told = json.loads(cli("convert", "s.npz", "s.zarr", "--json")[1])
    facts = {"path": "s.zarr", "shape": [600, 8], "dtype": "float64", "entries": 1200, "entries_a_row": 2.0}
    assert told == facts == json.loads(cli("info", "s.zarr", "--json")[1])
    assert cli("estimate", "s.zarr", *SMALL)[0] == 0
    assert cli("fit", "s.zarr", "-o", "m.npz", *SMALL)[0] == 0
    assert cli("transform", "m.npz", "s.zarr", "-o", "y.zarr", "--outputs", "means")[0] == 0
    igtm = IGTM(k=4, m=2, niter=5, tol=0, n_blocks=1).fit(rows)
    assert_array_equal(zarr.open_array("y.zarr/means", mode="r")[:], igtm.transform(rows))


@pytest.mark.parametrize("name", ["s.npz", "s.mtx", "s.mtx.gz", "s.h5ad"])
def test_a_sparse_file_is_to_be_converted_first(cli, name):
    code, _, said = cli("fit", name, "-o", "m.npz")
    assert code == 2
    assert f"dask-igtm convert {name} s.zarr" in said


def test_the_ridge_that_the_evidence_chose_is_told(cli):
    chosen = ("--niter", "8", "--scale", "center", "--regul", "auto")
    assert cli("fit", "x.zarr", "-o", "m.npz", *SMALL, *chosen)[0] == 0
    assert json.loads(cli("info", "m.npz", "--json")[1])["regul"] == load("m.npz").regul_ != "auto"


# Maps of regions


def test_a_zoom_differs_in_what_is_given_alone(cli):
    parent = IGTM(k=4, m=3, niter=3, solver="em", scale="center", regul=0.5, verbose=True).fit(X)
    parent.save("p.npz")
    zoom = ("zoom", "p.npz", "x.zarr", "-o", "z.npz", "--region", "-1:0,-1:1")
    assert cli(*zoom, "--m", "2", "--n-components", "none")[0] == 0
    expected = parent.zoom("x.zarr", (-1.0, 0.0, -1.0, 1.0), m=2, verbose=False)
    assert load("z.npz").get_params() == expected.get_params()
    assert load("z.npz").centers_.tobytes() == expected.centers_.tobytes()
    code, out, said = cli(*zoom, "--overwrite", "--scale", "none", "--niter", "2", "--json")
    assert (code, said.splitlines()[-1].split(";")[0]) == (0, "not converged after 2 iterations")
    assert json.loads(out)["parameters"] == parent.get_params() | {
        "scale": None,
        "niter": 2,
        "verbose": False,
    }


def test_help_of_a_zoom_says_where_defaults_come_from(cli):
    told = " ".join(cli("zoom", "--help")[1].split())
    assert told.count("that of MODEL)]") == len(IGTM().get_params()) - 1  # but of `verbose`
    assert "[default: 200]" not in told


@pytest.mark.parametrize(
    ("region", "code", "said"),
    [
        (("--region", "corner"), 2, "'corner' is no region; give nodes such as 3,4,9-12, a box such as"),
        (("--region", "3,16"), 1, "--region '3,16' is none of this map, whose nodes are 0 to 15"),
        ((), 2, "Missing option '--region'"),
    ],
)
def test_a_zoom_into_no_region(cli, model, folder, region, code, said):
    found, out, err = cli("zoom", model, "x.zarr", "-o", "z.npz", *region)
    assert (found, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert not (folder / "z.npz").exists()


def test_a_zoom_goes_on_from_its_checkpoint(cli, model):
    zoom = ("zoom", model, "x.zarr", "-o", "z.npz", "--region", "0-7", "--tol", "0", "--checkpoint", "c.npz")
    assert cli(*zoom, "--niter", "3")[0] == 0
    _, _, err = cli(*zoom, "--niter", "6", "--overwrite")
    assert "going on after iteration 3 " in err
    whole = load(model).zoom("x.zarr", range(8), niter=6, tol=0)
    assert load("z.npz").centers_.tobytes() == whole.centers_.tobytes()
    code, _, err = cli(*zoom[:6], "8-15", *zoom[7:], "--niter", "6", "--overwrite")
    assert code == 1
    assert "'c.npz'" in err.splitlines()[-1]


@pytest.mark.parametrize("source", ["cells.parquet", "cells.csv"])
def test_a_zoom_takes_the_columns_of_its_map(cli, table, source):
    table.to_csv("cells.csv", index=False)
    assert cli("fit", "cells.parquet", "-o", "m.npz", *SMALL, "--columns", "a,b,c")[0] == 0
    assert cli("zoom", "m.npz", source, "-o", "z.npz", "--region", "0-7")[0] == 0
    found, expected = load("z.npz"), load("m.npz").zoom(table[["a", "b", "c"]], range(8))
    assert list(found.feature_names_in_) == ["a", "b", "c"]
    np.testing.assert_allclose(found.centers_, expected.centers_, rtol=1e-7, atol=1e-9)


# Maps within maps

OF_ATLAS = ("--n-regions", "3", "--max-depth", "1", "--min-samples", "100")


def test_an_atlas(cli, towns):
    chosen = ("--k", "6", "--m", "2", "--niter", "5", "--solver", "em", "--child", "k=4,model=modes")
    code, out, said = cli("atlas", "towns.zarr", "-o", "a.npz", *OF_ATLAS, *chosen, "--json")
    assert code == 0
    one = {"m": 2, "niter": 5, "solver": "em"}
    atlas = IGTMAtlas(
        IGTM(k=6, **one), child=IGTM(k=4, model="modes", **one), n_regions=3, max_depth=1, min_samples=100
    ).fit("towns.zarr")
    found = load("a.npz")
    assert found.get_params() == atlas.get_params() | {
        name: found.get_params()[name] for name in ("estimator", "child")
    }
    assert found.child.get_params() == atlas.child.get_params()
    assert [igtm.centers_.tobytes() for igtm in found.maps_] == [
        igtm.centers_.tobytes() for igtm in atlas.maps_
    ]
    told = json.loads(out)
    assert told.items() >= json.loads(cli("info", "a.npz", "--json")[1]).items()
    assert [row["rows"] for row in told["table"]] == atlas.table()["rows"].tolist()
    lines = said.splitlines()
    assert sum(line.startswith("iteration ") for line in lines) == 5
    assert sum(line.startswith("pass ") for line in lines) == 5
    assert lines[-1] == (
        "not converged: root, root/0, root/1, root/2; for more iterations, give a larger --niter"
    )


def test_an_atlas_whose_children_are_as_its_root(cli, towns):
    assert cli("atlas", "towns.zarr", "-o", "a.npz", *OF_ATLAS, *SMALL, "--solver", "em", "--quiet")[0] == 0
    assert load("a.npz").child is None
    assert "\nchild " not in cli("info", "a.npz")[1]


def test_an_atlas_that_does_not_pay_says_so(cli):
    zarr.create_array("noise.zarr", data=np.random.default_rng(0).normal(size=(400, 8)), chunks=(100, 8))
    chosen = ("--solver", "em", "--child", "k=6,m=4,regul=1e-6", "--min-samples", "60", "--quiet")
    code, out, err = cli("atlas", "noise.zarr", "-o", "a.npz", *OF_ATLAS, *SMALL, *chosen)
    assert code == 0
    assert "maps of regions pays on the rows held out: the atlas is its root alone" in err
    assert "no gain on rows held out" in out


def test_an_atlas_of_a_table_with_ids(cli, table):
    chosen = ("--index", "id", "--drop", "smiles,e", *SMALL, "--solver", "em")
    assert cli("atlas", "cells.parquet", "-o", "a.npz", *OF_ATLAS, *chosen, "--quiet")[0] == 0
    assert json.loads(cli("info", "a.npz", "--json")[1])["columns"] == ["a", "b", "c", "d"]
    assert cli("transform", "a.npz", "cells.parquet", "-o", "t.csv", "--index", "id")[0] == 0
    assert pd.read_csv("t.csv")["id"].tolist() == table["id"].tolist()


@pytest.mark.parametrize(
    ("bad", "code", "said"),
    [
        (("--n-regions", "1"), 1, "--n-regions 1"),
        (("--max-depth", "-1"), 1, "--max-depth -1"),
        (("--max-depth", "deep"), 2, "--max-depth"),
        (("--min-samples", "-1"), 1, "--min-samples -1"),
        (("--validation-fraction", "1"), 1, "--validation-fraction 1.0; give a share"),
        (("--n-components", "2"), 1, "--n-components 2"),
        (("--child", "noise=poisson"), 1, "do not compare"),
        (("--child", "k"), 2, "--child k says no option of a map; give NAME=VALUE, such as k=12, of k, m, s"),
        (("--child", "colour=3"), 2, "--child colour=3 says no option"),
        (("--child", "n-regions=3"), 2, "--child n-regions=3 says no option"),
        (("--child", "k=many"), 2, "'many' is not a valid integer"),
        (("--child", "solver=newton"), 2, "'newton' is not one of 'em', 'accelerated'"),
        (("--child", "solver=sampled"), 1, "sample"),
    ],
)
def test_an_atlas_that_cannot_be(cli, folder, bad, code, said):
    found, out, err = cli("atlas", "x.zarr", "-o", "a.npz", "--quiet", *bad)
    assert (found, out) == (code, "")
    assert said in err.splitlines()[-1]
    assert not (folder / "a.npz").exists()


def test_ctrl_c_between_the_levels_of_an_atlas(cli, towns, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    atlas = ("atlas", "towns.zarr", "-o", "a.npz", *OF_ATLAS, *SMALL, "--quiet")
    with monkeypatch.context() as patch:
        patch.setattr("dask_igtm.estimators.atlas.grow", interrupt)
        assert cli(*atlas) == (
            130,
            "",
            "interrupted; nothing is kept; with --checkpoint PATH the same command could go on\n",
        )
        assert cli(*atlas, "--checkpoint", "c.npz")[2] == (
            "interrupted; the checkpoint 'c.npz' keeps what was done, and the same command goes on from it\n"
        )
    assert cli(*atlas, "--checkpoint", "c.npz")[0] == 0


# What is told


@pytest.mark.parametrize(
    ("options", "noise"),
    [
        (("--noise", "diagonal"), "diagonal"),
        (("--noise", "bernoulli"), "bernoulli"),
        (("--noise", "poisson", "--exposure", "total"), "poisson"),
    ],
)
def test_a_map_of_another_noise(cli, options, noise):
    rows = rows_of({"poisson": "total"}.get(noise, noise))
    zarr.create_array("rows.zarr", data=rows, chunks=(100, rows.shape[1]))
    code, out, _ = cli("fit", "rows.zarr", "-o", "n.npz", *SMALL, *options, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["noise"] == noise
    assert told["parameters"]["exposure"] == (options[-1] if "--exposure" in options else None)
    assert json.loads(cli("info", "n.npz", "--json")[1])["log_likelihood"] == told["log_likelihood"]
    assert cli("transform", "n.npz", "rows.zarr", "-o", "n.csv")[0] == 0
    assert cli("estimate", "rows.zarr", *SMALL, *options)[0] == 0
    code, _, err = cli("fit", "x.zarr", "-o", "x.npz", *options)
    assert code == (0 if noise == "diagonal" else 1)
    assert ("column" in err and "another noise" in err) == (noise != "diagonal")


def refuse(word):
    raise AssertionError(f"{word} is no JSON")


def test_json_of_an_interrupted_fit_has_null_for_what_is_unknown(cli, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    igtm = IGTM(k=4, m=2, niter=2)
    monkeypatch.setattr("dask_igtm.fitting.fit.likelihood_of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        igtm.fit(X)
    igtm.save("m.npz")
    assert np.isnan(load("m.npz").log_likelihood_)
    with np.load("m.npz") as members:
        header = json.loads(str(members["header"]), parse_constant=refuse)
    told = json.loads(cli("info", "m.npz", "--json")[1], parse_constant=refuse)
    assert header["fitted"]["log_likelihood_"] is told["log_likelihood"] is None


def test_json_is_one_object(cli, model):
    np.save("x.npy", X)
    results = {
        name: json.loads(cli(*arguments, "--json")[1])
        for name, arguments in {
            "convert": ("convert", "x.npy", "c.zarr"),
            "fit": ("fit", "x.zarr", "-o", "fitted.npz", *SMALL),
            "transform": ("transform", model, "x.zarr", "-o", "y.zarr"),
            "info": ("info", model),
            "array": ("info", "x.zarr"),
            "group": ("info", "y.zarr"),
            "estimate": ("estimate", "x.zarr", "--niter", "7"),
        }.items()
    }
    assert results["convert"]["shape"] == results["array"]["shape"] == [600, 5]
    assert results["array"]["chunks"] == [100, 5]
    assert results["fit"]["log_likelihood"] == load("fitted.npz").log_likelihood_
    assert results["fit"]["iterations"] == 5
    assert results["info"]["converged"] is False
    assert results["group"] == results["transform"]
    assert results["group"]["complete"] is True
    assert results["group"]["means"] == [600, 2]
    assert results["estimate"]["n_passes"] == 9


def test_names_of_columns_are_told(cli):
    with open("x.csv", "w") as file:
        file.write("height,weight\n1,2\n3,5\n")
    assert "height, weight" in cli("convert", "x.csv", "named.zarr")[1]
    assert "height, weight" in cli("info", "named.zarr")[1]


def test_a_codec_is_chosen(cli):
    np.save("x.npy", X)
    assert cli("convert", "x.npy", "plain.zarr", "--codec", "none")[0] == 0
    assert zarr.open_array("plain.zarr").compressors == ()
    code, _, err = cli("convert", "x.npy", "other.zarr", "--codec", "gzip")
    assert code == 2
    assert "'blosc-lz4', 'blosc-zstd', 'zstd', 'none'" in err


def test_a_model_is_not_replaced_unless_asked(cli, model):
    before = load(model).centers_.tobytes()
    assert cli("fit", "x.zarr", "-o", model, *SMALL)[0] == 1
    assert load(model).centers_.tobytes() == before
    assert cli("fit", "x.zarr", "-o", model, *SMALL, "--overwrite")[0] == 0
    assert load(model).n_iter_ == 5


# Chunks that are not stored


@pytest.fixture
def empty_chunk():
    """Write rows of which Dask leaves a chunk out, for it is all zeros."""
    rows = X.copy()
    rows[100:200] = 0
    da.from_array(rows, chunks=(100, 5)).to_zarr("empty.zarr")
    return rows


def test_chunks_that_are_not_stored_are_filled_if_asked(cli, model, empty_chunk):
    fit = ("fit", "empty.zarr", "-o", "filled.npz", *SMALL)
    transform = ("transform", model, "empty.zarr", "-o", "y.zarr")
    for command in (fit, transform):
        code, _, err = cli(*command)
        assert code == 1
        assert "Chunk c/1/0 (rows 100:200) is not stored" in err
        assert "--fill-unstored" in err
        assert cli(*command, "--fill-unstored")[0] == 0
    expected = IGTM(k=4, m=2, niter=5, tol=0).fit(da.from_array(empty_chunk, chunks=(600, 5)))
    assert load("filled.npz").centers_.tobytes() == expected.centers_.tobytes()
    assert_array_equal(zarr.open_group("y.zarr")["means"][:], load(model).transform(empty_chunk))
    assert cli(*fit, "--overwrite")[0] == 1  # of one command alone


def test_a_report_of_chunks_that_are_not_stored(cli, model, empty_chunk):
    assert cli("report", model, "empty.zarr", "-o", "map.html")[0] == 1
    assert cli("report", model, "empty.zarr", "-o", "map.html", "--fill-unstored")[0] == 0


def test_a_zipped_array_is_told_of(cli):
    with zarr.storage.ZipStore("x.zarr.zip", mode="w") as store:
        zarr.create_array(store, data=X, chunks=(100, 5))
    assert json.loads(cli("info", "x.zarr.zip", "--json")[1])["shape"] == [600, 5]


# Going on


def test_fit_sets_out_from_another_map(cli, model):
    assert cli("fit", "x.zarr", "-o", "on.npz", *SMALL, "--init", model)[0] == 0
    expected = IGTM(k=4, m=2, niter=5, tol=0).fit("x.zarr", init=load(model))
    assert load("on.npz").centers_.tobytes() == expected.centers_.tobytes()


def test_ctrl_c_leaves_a_checkpoint_from_which_the_same_command_goes_on(cli, folder):
    command = [sys.executable, "-c", HEEDING, *FIT, "--niter", "100000", "--checkpoint", "fit.npz"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("iteration    3"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    last = err.splitlines()[-1]
    assert last.startswith("interrupted after iteration ")
    assert last.endswith(
        "; the checkpoint 'fit.npz' keeps what was done, and the same command goes on from it"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["fit.npz", "x.zarr"]
    done = int(last.removeprefix("interrupted after iteration ").split(";")[0])
    code, _, err = cli(*FIT, "--niter", done + 3, "--checkpoint", "fit.npz")
    assert code == 0
    # The signal may have come between writing a state and taking note of it.
    assert any(f"going on after iteration {n} " in err for n in (done, done + 1))
    whole = IGTM(k=4, m=2, tol=0, niter=done + 3).fit("x.zarr")
    assert load("m.npz").centers_.tobytes() == whole.centers_.tobytes()


def test_ctrl_c_without_a_checkpoint_says_what_would_have_helped(cli, folder, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(IGTM, "fit", interrupt)
    code, out, err = cli(*FIT)
    assert (code, out) == (130, "")
    assert err == (
        "interrupted before the first iteration; nothing is kept; with --checkpoint PATH the same command "
        "could go on\n"
    )
    assert not (folder / "m.npz").exists()


def test_a_conversion_that_was_cut_leaves_nothing(cli, folder, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    np.save("x.npy", X)
    monkeypatch.setattr(zarr.Array, "append", interrupt)
    assert cli("convert", "x.npy", "new.zarr") == (130, "", "interrupted\n")
    assert sorted(path.name for path in folder.iterdir()) == ["x.npy", "x.zarr"]


def test_urls_of_local_files_are_paths(cli, folder):
    at = f"file://{folder}"
    np.save("x.npy", X)
    assert cli("convert", f"{at}/x.npy", f"{at}/again.zarr")[0] == 0
    fit = ("fit", f"{at}/again.zarr", *SMALL, "--checkpoint", f"{at}/c.npz")
    assert cli(*fit, "-o", f"{at}/m.npz")[0] == 0
    assert cli("fit", f"{at}/again.zarr", *SMALL, "--init", f"{at}/m.npz", "-o", f"{at}/on.npz")[0] == 0
    made = ["t.csv", "t.parquet", "t.zarr"]
    for name in made:
        assert cli("transform", f"{at}/m.npz", f"{at}/again.zarr", "-o", f"{at}/{name}")[0] == 0
        assert cli("info", f"{at}/{name}")[1].splitlines()[1:] == cli("info", name)[1].splitlines()[1:]
    assert cli("report", f"{at}/m.npz", f"{at}/again.zarr", "-o", f"{at}/r.html")[0] == 0
    there = ["again.zarr", "c.npz", "m.npz", "on.npz", "r.html", *made, "x.npy", "x.zarr"]
    assert sorted(path.name for path in folder.iterdir()) == sorted(there)


@pytest.mark.parametrize(
    "arguments",
    [
        ("transform", "m.npz", "x.zarr", "-o", "x.zarr/y.zarr"),
        ("transform", "m.npz", "x.zarr", "-o", "x.zarr"),
        ("report", "m.npz", "x.zarr", "-o", "m.npz"),
        ("report", "m.npz", "x.zarr", "-o", "x.zarr/r.html"),
        ("convert", "x.npy", "x.npy"),
    ],
)
def test_outputs_within_inputs_are_refused(cli, model, folder, arguments):
    np.save("x.npy", X)

    def there():
        return sorted(folder.rglob("*")), (folder / model).read_bytes(), (folder / "x.npy").read_bytes()

    before = there()
    for more in ((), ("--overwrite",)):
        code, out, err = cli(*arguments, *more)
        assert (code, out) == (1, "")
        assert "is the input" in err
    assert (
        sorted(folder.rglob("*")),
        (folder / model).read_bytes(),
        (folder / "x.npy").read_bytes(),
    ) == before


def test_ctrl_c_ends_a_conversion_with_130_and_no_traces(folder):
    np.save("x.npy", np.tile(X, (2000, 1)))
    command = [sys.executable, "-c", HEEDING, "convert", "x.npy", "new.zarr"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while process.poll() is None and not list(folder.glob(".new.zarr.*")):
        time.sleep(0.005)
    for _ in range(3):  # as people do
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "interrupted\n")
    assert sorted(path.name for path in folder.iterdir()) == ["x.npy", "x.zarr"]


def test_a_projection_that_was_cut_goes_on(cli, model, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dask_igtm.projection.to_zarr.write_rows", interrupt)
        code, _, err = cli("transform", model, "x.zarr", "-o", "y.zarr")
        assert code == 130
        assert err.splitlines()[-1] == "interrupted; the same command goes on with what is missing"
    assert "complete        no" in cli("info", "y.zarr")[1]
    assert cli("transform", model, "x.zarr", "-o", "y.zarr")[0] == 0
    assert "complete        yes" in cli("info", "y.zarr")[1]


def test_the_report_gets_model_rows_and_path(cli, model, monkeypatch, folder):
    asked = []
    fake = types.SimpleNamespace(report=lambda *arguments, **named: asked.append((arguments, named)))
    monkeypatch.setitem(sys.modules, "dask_igtm.plot.report", fake)
    assert cli("report", model, "x.zarr", "-o", "map.html")[0] == 0
    (((igtm, rows, path), named),) = asked
    assert isinstance(igtm, IGTM)
    assert (rows, path) == (str(folder / "x.zarr"), "map.html")
    assert named == {"labels": None, "y": None, "title": None, "ids": None, "source": "x.zarr"}


def test_the_report_gets_an_atlas(cli, atlas, monkeypatch):
    asked = []
    fake = types.SimpleNamespace(report=lambda *arguments, **_: asked.append(arguments))
    monkeypatch.setitem(sys.modules, "dask_igtm.plot.report", fake)
    assert cli("report", atlas, "towns.zarr", "-o", "map.html")[0] == 0
    assert asked[0][0].tree_.names == ["root", "root/0", "root/1", "root/2"]


@pytest.mark.parametrize("source", ["cells.parquet", "cells.csv", "cells.zarr"])
def test_the_report_gets_what_goes_with_the_rows(cli, table, monkeypatch, source):
    table.to_csv("cells.csv", index=False)
    assert cli("convert", "cells.parquet", "cells.zarr", "--index", "id,smiles,a")[0] == 0
    assert cli("fit", "cells.parquet", "-o", "m.npz", *SMALL, "--columns", "b,c,d,e")[0] == 0
    asked = {}
    fake = types.SimpleNamespace(report=lambda *_, **named: asked.update(named))
    monkeypatch.setitem(sys.modules, "dask_igtm.plot.report", fake)
    beside = ("--labels", "smiles", "--y", "a", "--index", "id", "--title", "Cells")
    assert cli("report", "m.npz", source, "-o", "map.html", *beside) == (0, "path  map.html\n", "")
    assert (asked["title"], asked["ids"]) == ("Cells", ("id",))
    assert (asked["labels"].columns, asked["y"].columns) == (("smiles",), ("a",))
    assert asked["labels"].array.compute().tolist() == table["smiles"].tolist()
    np.testing.assert_allclose(asked["y"].array.compute(), table["a"], rtol=1e-12)


def test_a_report_of_labels_and_several_values(cli, table, folder):
    pytest.importorskip("dask_igtm.plot.report")
    table.assign(kind=np.where(table["a"] > 1, "large <b>", "small")).to_parquet("kinds.parquet")
    assert cli("fit", "kinds.parquet", "-o", "m.npz", *SMALL, "--columns", "a,b,c,d,e")[0] == 0
    np.save("weights of cells.npy", table["b"].to_numpy())
    values = ("--y", "a", "--y", "weights of cells.npy", "--title", "Cells & kinds")
    assert cli("report", "m.npz", "kinds.parquet", "-o", "k.html", "--labels", "kind", *values)[0] == 0
    page = (folder / "k.html").read_text()
    assert "<h1>Cells &amp; kinds</h1>" in page
    for name in ("a", "weights of cells"):
        assert f"Share of the variance of {name} between nodes" in page
    assert "Projection by kind" in page
    assert "<b>" not in page


@pytest.mark.parametrize(
    ("beside", "said"),
    [
        (("--labels", "x"), "has no column x, and there is no array at such a path; its columns are id, smi"),
        (
            ("--y", "smiles"),
            "a real number (a str); give numbers here, and labels to classes. This is about column smiles",
        ),
        (("--labels", "short.npy"), "600 rows"),
        (("--labels", "k.html/labels.npy"), "has no column k.html/labels.npy"),
    ],
)
def test_a_report_of_what_is_not_there(cli, table, beside, said):
    pytest.importorskip("dask_igtm.plot.report")
    assert cli("fit", "cells.parquet", "-o", "m.npz", *SMALL, "--columns", "a,b,c,d,e")[0] == 0
    np.save("short.npy", np.arange(20))
    code, out, err = cli("report", "m.npz", "cells.parquet", "-o", "k.html", *beside)
    assert (code, out) == (1, "")
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_report_is_not_written_over_its_labels(cli, model, folder):
    np.save("labels.npy", np.arange(600) % 2)
    before = (folder / "labels.npy").read_bytes()
    command = ("report", model, "x.zarr", "-o", "labels.npy", "--overwrite")
    for option in ("--labels", "--y"):
        code, _, err = cli(*command, option, "labels.npy")
        assert code == 1
        assert "is the input" in err
    assert (folder / "labels.npy").read_bytes() == before


def test_a_report(cli, model, folder):
    pytest.importorskip("dask_igtm.plot.report")
    assert cli("report", model, "x.zarr", "-o", "map.html")[0] == 0
    assert "<html" in (folder / "map.html").read_text()


# Starting


def test_help_loads_nothing_slow():
    code = (
        "import sys, contextlib, dask_igtm.cli.commands\n"
        "with contextlib.suppress(SystemExit): dask_igtm.cli.commands.main(['--help'])\n"
        "print(*{'numpy', 'dask', 'sklearn', 'zarr', 'rich'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    assert all(command in done.stdout for command in COMMANDS)
    assert "130  interrupted" in done.stdout


# Tables of files with ids


@pytest.fixture
def table():
    frame = pd.DataFrame(X, columns=list("abcde")).assign(id=[f"m{i:03}" for i in range(600)], smiles="C")
    frame.to_parquet("cells.parquet", row_group_size=100)
    return frame


@pytest.mark.parametrize("source", ["cells.parquet", "cells.csv", "cells.zarr"])
def test_from_a_table_to_a_table(cli, table, source):
    table.to_csv("cells.csv", index=False)
    assert cli("convert", "cells.parquet", "cells.zarr", "--index", "id", "--drop", "smiles")[0] == 0
    chosen = () if source == "cells.zarr" else ("--index", "id", "--drop", "smiles")
    assert cli("fit", source, "-o", "m.npz", *SMALL, *chosen)[0] == 0
    index = () if source == "cells.zarr" else ("--index", "id")
    expected = load("m.npz").transform(table[list("abcde")])
    for ending, read in (("parquet", pd.read_parquet), ("csv", pd.read_csv)):
        command = ("transform", "m.npz", source, "-o", f"map.{ending}", "--outputs", "means,node", *index)
        code, _, said = cli(*command)
        assert code == 0
        assert "Warning" not in said  # of columns that the map does not know
        found = read(f"map.{ending}")
        assert list(found.columns) == ["id", "x1", "x2", "node"]
        assert found["id"].tolist() == table["id"].tolist()
        np.testing.assert_allclose(found[["x1", "x2"]], expected, rtol=1e-9, atol=1e-12)
        told = json.loads(cli("info", f"map.{ending}", "--json")[1])
        assert told["columns"] == ["x1", "x2", "node"]
        assert ending == "csv" or (told["ids"], told["shape"], told["complete"]) == (["id"], [600, 3], True)
    assert cli(*command)[0] == 1  # a CSV file is written anew only if asked
    assert cli(*command, "--overwrite")[0] == 0
    assert cli("transform", "m.npz", source, "-o", "map.zarr", "--outputs", "means", *index)[0] == 0
    assert sorted(zarr.open_group("map.zarr").array_keys()) == ["id", "means"]


def test_info_tells_ids(cli, table):
    assert cli("convert", "cells.parquet", "cells.zarr", "--index", "id,smiles")[0] == 0
    assert json.loads(cli("info", "cells.zarr", "--json")[1])["ids"] == ["id", "smiles"]
    assert json.loads(cli("info", "cells.parquet", "--json")[1])["row_groups"] == 6
