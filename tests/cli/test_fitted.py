"""Maps and atlases in files, and one map of an atlas."""

import json

import numpy as np
import pandas as pd
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, load

SMALL = ("--k", "4", "--m", "2", "--niter", "5", "--solver", "em")


def test_a_map_of_an_atlas_is_told_of(cli, atlas):
    igtm = load(atlas).maps_[2]
    assert load(atlas).tree_.names[2] == "root/1"
    told = json.loads(cli("info", atlas, "--map", "root/1", "--json")[1])
    assert told["log_likelihood"] == igtm.log_likelihood_
    assert told["parameters"] == igtm.get_params()


def test_an_atlas_is_told_of(cli, atlas):
    grown = load(atlas)
    told = json.loads(cli("info", atlas, "--json")[1])
    assert (told["maps"], told["depth"], told["columns"]) == (4, 1, 3)
    assert told["estimator"] == grown.estimator.get_params()
    assert told["child"] == grown.child.get_params()
    assert told["parameters"]["min_samples"] == 100
    table = grown.table().drop(columns=["parent", "region"])
    pd.testing.assert_frame_equal(pd.DataFrame(told["table"]).astype(table.dtypes), table)


def test_an_atlas_is_told_of_in_words(cli, atlas):
    lines = cli("info", atlas)[1].splitlines()
    blank = lines.index("")
    names, *rows = lines[blank + 1 :]
    assert names.split() == ["map", "number", "rows", "passes", "gain", "gain", "error", "outcome"]
    assert [row.split()[:2] for row in rows] == [
        ["root", "0"],
        ["root/0", "1"],
        ["root/1", "2"],
        ["root/2", "3"],
    ]
    assert {row.split()[-1] for row in rows} == {"kept"}
    assert "nan" not in rows[0]


def test_rows_are_written_with_their_leaves(cli, atlas, towns):
    assert cli("transform", atlas, "towns.zarr", "-o", "t.csv", "--quiet") == (
        0,
        "path     t.csv\ncolumns  row, x1, x2, leaf, log_likelihood\n",
        "",
    )
    expected = load(atlas).describe(towns, ["means", "leaf", "log_likelihood"])
    found = pd.read_csv("t.csv")
    assert_array_equal(found["leaf"], expected["leaf"])
    assert_allclose(found[["x1", "x2"]], expected["means"], rtol=1e-9, atol=1e-12)
    assert cli("transform", atlas, "towns.zarr", "-o", "p.zarr", "--outputs", "paths")[0] == 0
    assert_allclose(
        zarr.open_array("p.zarr/paths")[:], load(atlas).decision_path(towns).toarray(), atol=1e-12
    )
    code, _, said = cli("transform", atlas, "towns.zarr", "-o", "m.csv", "--outputs", "modes")
    assert code == 1
    assert "give some of" in said


def test_rows_on_one_map_of_an_atlas(cli, atlas, towns):
    assert cli("transform", atlas, "towns.zarr", "-o", "t.zarr", "--map", "root")[0] == 0
    assert_array_equal(zarr.open_array("t.zarr/means")[:], load(atlas).maps_[0].transform(towns))
    assert sorted(zarr.open_group("t.zarr").array_keys()) == ["log_likelihood", "means", "modes"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("info", "a.npz", "--map", "root/7"),
            "has no map 'root/7'; give one of those that dask-igtm info a.npz",
        ),
        (("info", "x.zarr", "--map", "root"), "'x.zarr' is no atlas"),
        (("info", "m.npz", "--map", "root"), "'m.npz' is no atlas, so that it has no maps to choose from"),
        (("zoom", "a.npz", "towns.zarr", "-o", "z.npz", "--region", "3"), "say which by --map"),
        (
            ("fit", "towns.zarr", "-o", "z.npz", "--init", "a.npz"),
            "'a.npz' is an atlas of 4 maps, and this takes a file of a single one",
        ),
    ],
)
def test_where_one_map_is_wanted(cli, atlas, model, arguments, said):
    code, out, err = cli(*arguments)
    assert (code, out) == (1, "")
    assert said in err.splitlines()[-1]
    assert len(err.splitlines()) == 1


def test_rows_count_on_a_map_of_an_atlas_by_how_much_they_belong_to_it(cli, atlas, towns):
    region = ("--region", "-1:1,-1:0", "--map", "root/1")
    assert cli("zoom", atlas, "towns.zarr", "-o", "z.npz", *region)[0] == 0
    grown, child = load(atlas), load("z.npz")
    paths = grown.decision_path(towns).toarray()[:, 2]
    share = grown.maps_[2].describe(towns, ["responsibilities"])["responsibilities"]
    weight = paths * share[:, grown.maps_[2].nodes_[:, 1] <= 0].sum(axis=1)
    assert child.n_samples_seen_ == pytest.approx(weight.sum(), rel=1e-9)
    assert 50 < weight.sum() < paths.sum() < 310
    expected = IGTM(**child.get_params()).fit(towns, sample_weight=weight)
    assert_allclose(child.centers_, expected.centers_, rtol=1e-6, atol=1e-8)


def test_a_region_of_the_root_is_one_of_that_map(cli, atlas, towns):
    assert cli("zoom", atlas, "towns.zarr", "-o", "z.npz", "--region", "0-7", "--map", "root")[0] == 0
    expected = load(atlas).maps_[0].zoom(zarr.open_array("towns.zarr"), range(8))
    assert load("z.npz").centers_.tobytes() == expected.centers_.tobytes()
    assert np.isfinite(expected.log_likelihood_)
