"""A report is one page that holds all that it shows, loads nothing, and is whole or not there."""

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import altair as alt
import dask.array as da
import dask.dataframe as dd
import fsspec
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from helpers.atlases import NAMES, atlas
from helpers.data import correlated
from numpy.testing import assert_array_equal
from sklearn.exceptions import NotFittedError

import dask_igtm
from dask_igtm import IGTM, IGTMClassifier, landscape, plot, quality
from dask_igtm.model.map_tree import MapTree
from dask_igtm.plot.report import report
from dask_igtm.plot.report_words import source_of
from dask_igtm.posterior.tree_posterior import paths_of

N = 200
EVIL = "</script><script>alert('<b>&')</script>"


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.rows, self.text, self._inside = [], [], "", None
        self.feed(path.read_text())
        (self.charts,), (self.nodes,) = map(self.held, ("charts", "nodes"))  # of the only map

    def held(self, name):
        return json.loads(re.search(rf'id="{name}">(.*?)</script>', self.source, re.DOTALL)[1])

    def feed(self, source):
        self.source = source
        super().feed(source)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag
        if tag == "tr":
            self.rows.append([])
        if tag in {"th", "td"}:
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self._inside = None

    def handle_data(self, data):
        if self._inside in {"th", "td"}:
            self.rows[-1][-1] += data
        if self._inside not in {"script", "style"}:
            self.text += data

    @property
    def figures(self):
        return {name: value for name, value, *_ in self.rows}

    @property
    def maps(self):
        return [panel["layer"][0] for panel in self.charts["maps"]["concat"]]


@pytest.fixture(scope="module")
def X():  # noqa: N802
    return correlated(N, 4)


@pytest.fixture(scope="module")
def igtm(X):
    return IGTM(k=5, m=2, niter=6).fit(X)


def test_charts_are_valid_and_linked(igtm, X, tmp_path):
    report(igtm, X, tmp_path / "map.html", y=X[:, 0], labels=X[:, 1] > 1)
    page = Page(tmp_path / "map.html")
    for spec in page.charts.values():
        alt.Chart.from_dict(spec)  # validates
    assert len(page.maps) == 6
    (region,) = page.charts["maps"]["params"]
    assert region["views"] == [panel["name"] for panel in page.maps]
    assert {panel["encoding"]["opacity"]["condition"]["param"] for panel in page.maps} == {region["name"]}
    assert len(page.charts["history"]["data"]["values"]) == igtm.n_iter_


def test_the_chosen_node_is_outlined_on_every_map(igtm, X, tmp_path):
    report(igtm, X, tmp_path / "map.html", y=X[:, 0], labels=X[:, 1] > 1)
    maps = Page(tmp_path / "map.html").charts["maps"]
    assert maps["datasets"]["chosen"] == []  # until one is
    for panel in maps["concat"]:
        outline = panel["layer"][-1]
        assert outline["data"] == {"name": "chosen"}
        assert outline["mark"]["size"] > (panel["width"] / 5) ** 2
    assert len({(panel["width"], panel["height"]) for panel in maps["concat"]}) == 1


def test_settings_and_figures_are_told(igtm, X, tmp_path):
    report(igtm, X, tmp_path / "map.html", title="A map")
    page = Page(tmp_path / "map.html")
    assert {name: page.figures[name] for name in igtm.get_params()} == {
        name: str(value) for name, value in igtm.get_params().items()
    }
    assert page.figures["Rows"] == page.figures["Rows of this page"] == "200"
    assert page.figures["Nodes"] == "5 x 5"
    assert page.figures["Columns"] == str(X.shape[1])
    assert page.figures["Iterations"] == "6"
    assert page.figures["Converged"] == "no"
    for rows in ("a row", "a row of this page"):
        assert float(page.figures[f"Mean of ln p(x) {rows}"]) == pytest.approx(igtm.score(X), rel=1e-5)
    assert f"dask_igtm {dask_igtm.__version__}" in page.text
    assert ("h1", {}) in page.tags
    assert page.text.count("A map") == 2


def test_names_of_columns_are_told(X, tmp_path):
    frame = pd.DataFrame(X).add_prefix("column number ")
    named = IGTM(k=3, m=2, niter=1, scale="center").fit(frame)
    report(named, frame, tmp_path / "map.html")
    told = Page(tmp_path / "map.html").figures["Columns"]
    assert told.startswith(f"{X.shape[1]}: column number 0, column number 1, ")
    wide = pd.concat([frame.add_suffix(f" of {i}") for i in range(20)], axis=1)
    report(named.fit(wide), wide, tmp_path / "map.html")
    told = Page(tmp_path / "map.html").figures["Columns"]
    assert told.endswith(" ...")
    assert len(told) < 210


def test_values_that_are_all_missing_have_no_share(igtm, X, tmp_path):
    y = pd.DataFrame({"known": X[:, 0], "unknown": np.full(len(X), np.nan)})
    report(igtm, X, tmp_path / "map.html", y=y)
    assert Page(tmp_path / "map.html").figures["Share of the variance of unknown between nodes"] == "nan"


def test_the_share_of_a_variance_does_not_depend_on_units(igtm, X, tmp_path):
    values = {"ordinary": X[:, 0], "tiny": 1e-200 * X[:, 0], "huge": 1e200 * X[:, 0]}
    report(igtm, X, tmp_path / "map.html", y=pd.DataFrame(values))
    figures = Page(tmp_path / "map.html").figures
    assert len({figures[f"Share of the variance of {name} between nodes"] for name in values}) == 1


def test_quality_is_that_of_the_rows(igtm, X, tmp_path):
    y, labels = X[:, 0] ** 2, np.where(X[:, 1] > 1, "a", "b")
    report(igtm, X, tmp_path / "map.html", y=pd.DataFrame({"square": y, "first": X[:, 0]}), labels=labels)
    figures = Page(tmp_path / "map.html").figures
    R = IGTM(model="responsibilities").set_params(k=5, m=2, niter=6).fit(X).transform(X)
    density = R.mean(axis=0)
    nodes = next(value for name, value in figures.items() if name.startswith("Effective number"))
    assert float(nodes) == pytest.approx(np.exp(-(density * np.log(density)).sum()), rel=1e-4)
    means = R.T @ y / R.sum(axis=0)
    explained = density @ (means - y.mean()) ** 2 / y.var()
    assert float(figures["Share of the variance of square between nodes"]) == pytest.approx(
        explained, rel=1e-4
    )
    certain = density @ landscape.classes(igtm, X, labels).values.max(axis=1)
    key = "Mean probability of the most probable class at a node"
    assert float(figures[key]) == pytest.approx(certain, rel=1e-4)


def test_quality_is_told_with_what_it_says(igtm, X, tmp_path):
    report(igtm, X, tmp_path / "map.html")
    rows = {name: rest for name, *rest in Page(tmp_path / "map.html").rows}
    expected = quality(igtm, X)
    for name, figure in {
        "Trustworthiness": f"{expected.trustworthiness:.4f}",
        "Continuity": f"{expected.continuity:.4f}",
        "Dead nodes": f"{expected.dead_nodes:.1%}",
        "BIC": f"{expected.bic:,.6g}",
    }.items():
        value, meaning = rows[name]
        assert value == figure
        assert len(meaning) > 20


def test_few_rows_have_a_page_that_tells_what_they_are_too_few_for(igtm, X, tmp_path):
    report(igtm, X[:8], tmp_path / "map.html")
    page = Page(tmp_path / "map.html")
    reason = next(row for row in page.rows if row[0].startswith("Trustworthiness"))[2]
    assert " 8 " in reason
    assert page.figures["Rows of this page"] == "8"


def test_figures_of_weighted_rows_are_those_of_repeated_ones(igtm, X, tmp_path):
    weight = np.arange(N) % 3
    often = np.repeat(np.arange(N), weight)
    y, labels = X[:, 0] ** 2, np.where(X[:, 1] > 1, "a", "b")
    report(igtm, X, tmp_path / "one.html", y=y, labels=labels, sample_weight=weight)
    report(igtm, X[often], tmp_path / "other.html", y=y[often], labels=labels[often])
    one, other = Page(tmp_path / "one.html"), Page(tmp_path / "other.html")
    differ = {"Source", "Weights", "Trustworthiness", "Continuity"}  # which seek neighbours among other rows
    assert {name for name in one.figures if one.figures[name] != other.figures.get(name)} == differ
    assert one.figures.keys() == other.figures.keys()
    for part in ("rows", "classes", "means", "markers"):
        assert one.nodes[part] == other.nodes[part]
    for here, there in zip(one.maps[2:], other.maps[2:], strict=True):  # the landscapes
        assert here["title"] == there["title"]
        pd.testing.assert_frame_equal(
            pd.DataFrame(here["data"]["values"]), pd.DataFrame(there["data"]["values"]), rtol=1e-4
        )


def test_what_the_rows_are_is_told(igtm, X, tmp_path):
    labels = pd.Series(np.where(X[:, 1] > 1, "many", "few"), name="how many")
    labels[:3] = None
    y = pd.DataFrame({"height": X[:, 0], "depth": X[:, 1]})
    ids = pd.Series([f"row {i}" for i in range(N)], name="station")
    report(igtm, X, tmp_path / "map.html", y=y, labels=labels, ids=ids, source="the weather of 1999")
    page = Page(tmp_path / "map.html")
    assert page.figures["Source"] == "the weather of 1999"
    assert page.text.count("the weather of 1999") == 2
    assert page.figures["Labels"] == "how many, 2: few, many"
    assert page.figures["Rows without a label"] == "3"
    assert page.figures["Values (y)"] == "2: height, depth"
    assert page.figures["Rows are called by"] == "station"
    assert page.figures["Weights"] == "none"


def sources(X, tmp_path):
    zarr.create_array(tmp_path / "x.zarr", data=X)
    yield str(tmp_path / "x.zarr"), str(tmp_path / "x.zarr")
    yield tmp_path / "x.zarr", str(tmp_path / "x.zarr")
    yield "memory://me:secret@there/x.zarr", "memory://there/x.zarr"
    yield "https://there/x.zarr?sig=secret", "https://there/x.zarr"
    yield X, "numpy ndarray of 200 rows and 4 columns"
    yield X.tolist(), "list of 200 rows and 4 columns"
    yield pd.DataFrame(X), "pandas DataFrame of 200 rows and 4 columns"
    yield da.from_array(X), "dask Array of 200 rows and 4 columns"
    yield dd.from_pandas(pd.DataFrame(X), npartitions=2), "dask DataFrame of 4 columns"
    yield xr.Dataset({"t": (("lat", "lon"), X)}), "xarray Dataset"


def test_the_source_is_a_path_or_what_is_in_memory(X, tmp_path):
    for given, told in sources(X, tmp_path):
        assert source_of(given) == told


def test_nodes_have_the_members_and_markers_of_their_landscapes(igtm, X, tmp_path):
    ids = [f"{EVIL} {i}" for i in range(N)]
    report(igtm, X, tmp_path / "map.html", ids=ids)
    nodes = Page(tmp_path / "map.html").nodes
    members, markers = landscape.members(igtm, X, ids), landscape.markers(igtm, X)
    for node in range(25):
        at = slice(*nodes["members"]["start"][node : node + 2])
        assert nodes["members"]["ids"][0][at] == members[members["node"] == node]["id"].tolist()
        at = slice(*nodes["markers"]["start"][node : node + 2])
        assert nodes["markers"]["which"][at] == [
            nodes["markers"]["names"].index(str(name)) for name in markers[markers["node"] == node]["column"]
        ]
    np.testing.assert_allclose(nodes["rows"], landscape.density(igtm, X).support, rtol=1e-5)


def test_a_map_of_one_node_has_a_page(X, tmp_path):
    report(IGTM(k=1, m=1, niter=1).fit(X), X, tmp_path / "map.html", labels=X[:, 0] > 0)
    nodes = Page(tmp_path / "map.html").nodes
    assert nodes["rows"] == [200]
    assert nodes["markers"]["start"] == [0, 0]


def test_a_page_of_many_nodes_is_small(X, tmp_path):
    wide = IGTM(k=32, m=2, niter=1, scale="center").fit(X)
    report(wide, X, tmp_path / "map.html", y=X[:, 0], labels=X[:, 1] > 1)
    assert os.path.getsize(tmp_path / "map.html") < 3 * 2**20  # of which the scripts that draw take one


def test_the_page_loads_nothing(igtm, X, tmp_path):
    report(igtm, X, tmp_path / "map.html")
    page = Page(tmp_path / "map.html")
    assert not any({"src", "href", "data"} & attributes.keys() for _, attributes in page.tags)
    assert not re.search(r"@import|url\(", page.source[: page.source.index("<script>")])
    ours = page.source[page.source.index('<script type="module">') :]
    assert not re.search(r"fetch|import|XMLHttp|innerHTML|https?:", ours)
    policy = next(attributes["content"] for tag, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none';")
    assert "http" not in policy


def test_text_is_shown_and_not_run(X, tmp_path):
    frame = pd.DataFrame(X, columns=[EVIL, *"abc"])
    igtm = IGTM(k=5, m=2, niter=2).fit(frame)
    labels = pd.Series(np.where(X[:, 1] > 1, EVIL, "b"), name=EVIL)
    report(
        igtm,
        frame,
        tmp_path / "map.html",
        title=EVIL,
        labels=labels,
        y=pd.Series(X[:, 0], name=EVIL),
        ids=labels,
    )
    page = Page(tmp_path / "map.html")
    assert [tag for tag, _ in page.tags].count("script") == 5
    assert page.source.count("</script>") == 5
    # Title, heading, the share of a variance, a column, labels with one of them, y, ids.
    assert page.text.count(EVIL) == 8
    assert f"Share of the variance of {EVIL} between nodes" in page.figures
    shown = EVIL.replace("</", "<\u2060/")  # with a word joiner, which is not seen
    assert page.maps[0]["encoding"]["color"]["scale"]["domain"] == [shown, "b"]


@pytest.mark.parametrize("y", [False, True])
@pytest.mark.parametrize("labels", [False, True])
def test_rows_are_read_once(igtm, X, tmp_path, y, labels):
    computed = []

    def note(block, block_id):
        computed.append(block_id[0])
        return block

    lazy = da.from_array(X, chunks=(50, -1)).map_blocks(note, dtype=float, meta=np.empty((0, 0)))
    look = {"y": X[:, 0]} if y else {}
    look |= {"labels": X[:, 1] > 1} if labels else {}
    report(igtm, lazy, tmp_path / "map.html", **look)
    assert_array_equal(np.bincount(computed), np.ones(4))


def test_many_rows_stay_out_of_the_page(igtm, tmp_path):
    X = correlated(30_000, 4)
    report(igtm, da.from_array(X, chunks=(5000, -1)), tmp_path / "map.html", y=X[:, 0])
    page = Page(tmp_path / "map.html")
    assert sum(row["rows"] for row in page.maps[0]["data"]["values"]) == 30_000
    assert len(json.dumps(page.charts)) < 2**20


def test_a_page_is_whole_or_not_there(igtm, X, tmp_path, monkeypatch):
    path = tmp_path / "map.html"
    path.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(OSError, match="disk full"):
            report(igtm, X, path)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["map.html"]
    report(igtm, X, path)
    first = path.read_bytes()
    report(igtm, X, path)
    assert path.read_bytes() == first  # nothing in it but what it is of


def test_nothing_is_computed_where_nothing_can_be_written(igtm, tmp_path):
    def fail(_):
        raise AssertionError("something was computed")

    X = da.zeros((N, 4), chunks=(50, 4)).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        report(igtm, X, tmp_path / "none" / "map.html")
    with pytest.raises(NotFittedError):
        report(IGTM(), X, tmp_path / "map.html")


def test_a_classifier_is_drawn_by_its_map(X, tmp_path):
    labels = X[:, 1] > 1
    classifier = IGTMClassifier(k=5, m=2, niter=6).fit(X, labels)
    report(classifier, X, tmp_path / "one.html", labels=labels)
    report(classifier.igtm_, X, tmp_path / "other.html", labels=labels)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()
    assert plot.projection(classifier, X) == plot.projection(classifier.igtm_, X)
    assert plot.history(classifier) == plot.history(classifier.igtm_)


def test_a_page_goes_to_a_url(igtm, X):
    report(igtm, X, "memory://reports/map.html")
    with fsspec.open("memory://reports/map.html", "rb") as file:
        assert file.read().startswith(b"<!DOCTYPE html>")


# A single column of y, in whatever container, has a projection

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(150, 3)) * [3, 2, 1]
Y = ROWS[:, 0] - ROWS[:, 1]
INDEX = [f"row{i}" for i in range(150)]


@pytest.fixture(scope="module")
def drawn():
    return IGTM(k=4, m=2, niter=3).fit(ROWS)


def maps(drawn, path, **given):
    """Return the maps of a page, without the density and the magnification."""
    report(drawn, ROWS, path, **given)
    (found,) = json.loads(re.search(r'id="charts">(.*?)</script>', path.read_text(), re.DOTALL)[1])
    return found["maps"]["concat"]


def stored(tmp_path, y, name="y.zarr"):
    zarr.create_array(tmp_path / name, data=y, chunks=(50, *y.shape[1:]))
    return tmp_path / name


COLUMN = Y[:, None]
SINGLE = {
    "array": lambda _: Y,
    "column": lambda _: COLUMN,
    "list": lambda _: Y.tolist(),
    "list of lists": lambda _: COLUMN.tolist(),
    "series": lambda _: pd.Series(Y, name="height"),
    "frame": lambda _: pd.DataFrame({"height": Y}, index=INDEX),
    "dask": lambda _: da.from_array(Y, chunks=50),
    "dask column": lambda _: da.from_array(COLUMN, chunks=(50, 1)),
    "dask frame": lambda _: dd.from_pandas(pd.DataFrame({"height": Y}), npartitions=1),
    "dask series": lambda _: dd.from_pandas(pd.Series(Y, name="height"), npartitions=1),
    "xarray": lambda _: xr.DataArray(COLUMN, dims=("row", "column")),
    "path": lambda tmp_path: stored(tmp_path, Y),
    "path of a column": lambda tmp_path: stored(tmp_path, COLUMN),
    "path as a string": lambda tmp_path: str(stored(tmp_path, COLUMN)),
    "zarr of a column": lambda tmp_path: zarr.open_array(stored(tmp_path, COLUMN), mode="r"),
    "int32": lambda _: COLUMN.astype("i4"),
}
SEVERAL = {
    "array": lambda _: np.column_stack([Y, -Y]),
    "list": lambda _: np.column_stack([Y, -Y]).tolist(),
    "frame": lambda _: pd.DataFrame({"height": Y, "depth": -Y}),
    "dask": lambda _: da.from_array(np.column_stack([Y, -Y]), chunks=(50, 2)),
    "path": lambda tmp_path: stored(tmp_path, np.column_stack([Y, -Y])),
}
OF_NODES = 2  # density and magnification


def colour(panels):
    """Return which field of the table of the first map, which is of the rows, colours it."""
    return panels[0]["layer"][0]["encoding"]["color"].get("field")


@pytest.fixture(scope="module")
def plain(drawn, tmp_path_factory):
    return maps(drawn, tmp_path_factory.mktemp("plain") / "page.html", y=Y)


@pytest.fixture(scope="module")
def bare(drawn, tmp_path_factory):
    return maps(drawn, tmp_path_factory.mktemp("bare") / "page.html")


def test_there_is_something_to_tell_apart(plain, bare):
    assert len(plain) == 1 + 1 + OF_NODES
    assert len(bare) == 1 + OF_NODES
    assert colour(plain) != colour(bare)


@pytest.mark.parametrize("kind", SINGLE)
def test_a_single_column_has_a_projection_and_a_landscape(drawn, plain, tmp_path, kind):
    found = maps(drawn, tmp_path / "page.html", y=SINGLE[kind](tmp_path))
    assert len(found) == len(plain)
    assert colour(found) == colour(plain)


@pytest.mark.parametrize("kind", SEVERAL)
def test_several_columns_have_a_landscape_each_and_one_projection_without_them(drawn, bare, tmp_path, kind):
    found = maps(drawn, tmp_path / "page.html", y=SEVERAL[kind](tmp_path))
    assert len(found) == 1 + 2 + OF_NODES
    assert colour(found) == colour(bare)


@pytest.mark.parametrize("kind", ["column", "frame", "dask column", "path of a column"])
def test_labels_have_a_projection_beside_it(drawn, tmp_path, kind):
    labels = np.where(Y > 0, "high", "low")
    found = maps(drawn, tmp_path / "page.html", y=SINGLE[kind](tmp_path), labels=labels)
    assert len(found) == 2 + 2 + OF_NODES


def test_the_name_of_the_only_column_is_that_of_its_chart(drawn, tmp_path):
    found = maps(drawn, tmp_path / "page.html", y=pd.DataFrame({"height": Y}))
    assert "height" in json.dumps(found[0])


def test_who_has_no_home_is_told_to_set_one():
    code = """if True:
        import os, pwd
        del os.environ["HOME"]
        def unknown(_):
            raise KeyError
        pwd.getpwuid = unknown  # a user of a container's, as by docker run --user
        try:
            from dask_igtm import report
            print("imported")
        except ImportError as error:
            print(error)
    """
    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"HOME": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    refused = "report cannot be imported: Could not determine home directory. Set HOME to a folder."
    assert ended.stdout.strip() in {refused, "imported"}  # by older releases of altair


@pytest.mark.parametrize("lazy", [False, True])
def test_points_tell_the_ids_of_their_rows(igtm, X, tmp_path, lazy):
    names = [f"row {number}" for number in range(N)]
    frame = pd.DataFrame(X, index=pd.Index(names, name="town"))
    rows = dd.from_pandas(frame, npartitions=3, sort=False) if lazy else frame
    report(igtm, rows, tmp_path / "map.html", y=X[:, 0] if not lazy else None)
    panel = Page(tmp_path / "map.html").maps[0]
    title = {tip["field"]: tip["title"] for tip in panel["encoding"]["tooltip"]}
    assert title["told0"] == "town"
    assert [row["told0"] for row in panel["data"]["values"]] == names


def test_a_label_has_one_colour_on_all_maps(igtm, X, tmp_path):
    labels = pd.Series(np.array(list("abcdefghijklmnopqrstuvwxyz"))[np.arange(N) % 26], name="letter")
    report(igtm, X, tmp_path / "map.html", labels=labels, sample_weight=(labels != "c") * 1.0)
    scales = [panel["encoding"]["color"]["scale"] for panel in Page(tmp_path / "map.html").maps]
    rows, classes = (scales[number] for number in (0, 2))
    assert rows == classes
    assert rows["domain"][-1] == "other"
    assert "c" not in rows["domain"]


def test_an_unnamed_index_and_the_scale_are_no_trouble(igtm, X, tmp_path):
    frame = pd.DataFrame(X, index=pd.Index([f"town {number}" for number in range(N)], name=""))
    report(igtm, frame, tmp_path / "map.html")
    assert Page(tmp_path / "map.html").figures["Rows are called by"] == "index"

    def fail(_):
        raise AssertionError("something was computed")

    lazy = da.zeros((N, 4), chunks=(50, 4)).map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    for given, message in (
        ({"y": X[:, 0], "scale": "cubic"}, "scale='cubic'"),
        ({"y": pd.DataFrame(np.ones((N, 2)), columns=["a", "a"])}, "a"),
    ):
        with pytest.raises(ValueError, match=message):
            report(igtm, lazy, tmp_path / "map.html", **given)


# Maps within maps


@pytest.fixture(scope="module")
def maps_within(X):
    return atlas(X)


def held(path, *names):
    return [
        json.loads(re.search(rf'id="{name}">(.*?)</script>', path.read_text(), re.DOTALL)[1])
        for name in names
    ]


def test_a_page_of_an_atlas_has_all_maps(maps_within, X, tmp_path):
    labels = np.where(X[:, 1] > 1, EVIL, "b")
    report(maps_within, X, tmp_path / "map.html", y=X[:, 0], labels=labels, ids=labels)
    charts, nodes, places = held(tmp_path / "map.html", "charts", "nodes", "places")
    assert [place["name"] for place in places] == NAMES
    assert [place["above"] for place in places] == [-1, 0, 0, 1]
    tree = maps_within.tree_
    for number, (of_map, place, facts) in enumerate(zip(charts, places, nodes, strict=True)):
        for spec in of_map.values():
            alt.Chart.from_dict(spec)  # validates
        own = tree.maps[number]
        assert (place["below"] or [-1] * len(own.regions)) == np.array(own.children)[own.regions].tolist()
        opened = {str(own.regions[node]) for node, below in enumerate(place["below"]) if below >= 0}
        assert {row["region"] for row in of_map["maps"]["datasets"].get("numbers", [])} == opened
        assert facts["k"] ** 2 == len(own.regions)
    lies = paths_of(X, tree, "numpy").sum(axis=0)
    np.testing.assert_allclose([sum(facts["rows"]) for facts in nodes], lies, rtol=1e-4)
    source = (tmp_path / "map.html").read_text()
    assert source.count("</script>") == 5
    assert re.findall(r'href="(.*?)"', source[source.index('<nav id="tree"') :])[:4] == [
        f"#{name}"
        for name in (*NAMES[:2], NAMES[3], NAMES[2])  # each with those below it
    ]


def test_a_label_has_one_colour_on_all_maps_of_an_atlas(maps_within, X, tmp_path):
    cuts = np.quantile(X[:, 0], np.linspace(0.05, 0.95, 11))
    labels = np.array(list("abcdefghijkl"))[np.digitize(X[:, 0], cuts)]
    report(maps_within, X, tmp_path / "map.html", labels=labels)
    (charts,) = held(tmp_path / "map.html", "charts")
    encodings = [of_map["maps"]["concat"][0]["layer"][0]["encoding"] for of_map in charts]
    for channel in ("color", "shape"):
        scales = [encoding[channel]["scale"] for encoding in encodings]
        root, *below = (dict(zip(scale["domain"], scale["range"], strict=True)) for scale in scales)
        for of_map in below:
            assert of_map.items() <= root.items()


def test_an_atlas_that_is_its_root_has_the_page_of_the_root(X, igtm, tmp_path):
    alone = SimpleNamespace(tree_=MapTree.of_root(igtm.model_), maps_=[igtm], trials_=[])
    report(alone, X, tmp_path / "one.html", labels=X[:, 0] > 0)
    report(igtm, X, tmp_path / "other.html", labels=X[:, 0] > 0)
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_the_page_of_an_atlas_of_many_rows_is_small(maps_within, X, tmp_path):
    many = da.from_array(np.tile(X, (100, 1)), chunks=(5000, -1))
    report(maps_within, X, tmp_path / "few.html")
    report(maps_within, many, tmp_path / "many.html")
    for charts in held(tmp_path / "many.html", "charts")[0]:
        assert len(charts["maps"]["concat"][0]["layer"][0]["data"]["values"]) <= 72**2  # bins
    assert os.path.getsize(tmp_path / "many.html") < 2**21
