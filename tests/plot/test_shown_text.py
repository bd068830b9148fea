"""Whatever labels, names and titles hold, charts show them, and do nothing else."""

import xml.dom.minidom

import numpy as np
import pandas as pd
import pytest
import vl_convert
from helpers.data import correlated
from helpers.hostile import PIECES, faults_of

from dask_igtm import IGTM, landscape, plot

EVIL = '</script>\0\x1b[31m\ud800\u2028<!--\n\\": warn("owned"), "\\'
LABELS = [*PIECES[:4], *PIECES[14:19], "a\0"]


@pytest.fixture(scope="module")
def evil_labels(X):
    return np.array(LABELS, dtype=object)[np.arange(len(X)) % len(LABELS)]


def domain(chart):
    return chart.to_dict()["encoding"]["color"]["scale"]["domain"]


def projection(igtm, X, labels):
    told = pd.DataFrame({EVIL: labels, "\ud801": labels[::-1]})
    return plot.projection(igtm, X, labels=labels, name=EVIL, title=EVIL, tooltip=told)


def names_in_map(igtm, X, labels):
    return plot.projection(igtm, X, labels=labels, name=EVIL, names_in_map=True)


def bins(igtm, X, labels):
    return plot.projection(igtm, X, labels=labels, name=EVIL, title=EVIL, max_points=10)


def values(igtm, X, _):
    return plot.projection(igtm, X, y=pd.Series(X[:, 0], name=EVIL))


def class_map(igtm, X, labels):
    return plot.landscape(landscape.classes(igtm, X, labels), name=EVIL, title=EVIL)


def class_panels(igtm, X, labels):
    return plot.landscape(landscape.classes(igtm, X, labels), columns=LABELS[:2], name=EVIL, title=EVIL)


def means(igtm, X, _):
    frame = pd.DataFrame({EVIL: X[:, 0], "\ud801": X[:, 1]})
    return plot.landscape(landscape.property(igtm, X, frame), name=EVIL, title=EVIL)


def coverage(igtm, X, _):
    return plot.landscape(landscape.coverage(igtm, X, {EVIL: X[::2], "\ud801": X[1::2]}), title=EVIL)


def ratios(igtm, X, _):
    sets = landscape.compare(igtm, {EVIL: X[::2], "\ud801": X[1::2], "b": X})
    return plot.landscape(sets, relative_to=EVIL, name=EVIL, title=EVIL)


def ratios_to(igtm, X, _):
    sets = landscape.coverage(igtm, X, {EVIL: X[::2], "b": X})
    return plot.landscape(sets, columns=["b"], relative_to=EVIL) | plot.landscape(sets, relative_to=EVIL)


def components(igtm, X, _):
    names = [EVIL, "\ud801", "a\0b", "</b>"]
    return plot.components(IGTM(k=4, m=2, niter=2).fit(pd.DataFrame(X, columns=names)), title=EVIL)


def history(igtm, _X, _):
    return plot.history(igtm, title=EVIL)


CHARTS = [
    projection,
    names_in_map,
    bins,
    values,
    class_map,
    class_panels,
    means,
    coverage,
    ratios,
    ratios_to,
    components,
    history,
]


@pytest.mark.parametrize("chart", CHARTS)
def test_no_text_of_the_user_does_anything(igtm, X, evil_labels, chart):
    spec = chart(igtm, X, evil_labels).to_dict()
    assert faults_of(spec) == []
    # Renderers end the process at a NUL, and draw nothing where a name breaks an expression.
    xml.dom.minidom.parseString(vl_convert.vegalite_to_svg(spec))


@pytest.mark.parametrize("max_points", [5000, 10])
def test_labels_that_would_look_alike_are_told_apart(igtm, X, max_points):
    alike = ["a\0b", r"a\x00b", r"a\x00b (2)", "y" * 1_000_000, "y" * 1_000_001]
    labels = np.array(alike, dtype=object)[np.arange(len(X)) % len(alike)]
    chart = plot.projection(igtm, X, labels=labels, max_points=max_points)
    shown = domain(chart)
    assert len(set(shown)) == len(alike)
    seen = [text.replace("\u2060", "") for text in shown[:3]]
    assert seen == [r"a\x00b", r"a\x00b (2)", r"a\x00b (2) (2)"]
    assert max(map(len, shown)) < 70
    drawn = pd.DataFrame(chart.to_dict()["data"]["values"]).label
    assert set(drawn) <= set(shown)
    if max_points > 10:
        assert drawn.tolist() == [shown[sorted(alike).index(label)] for label in labels]


def test_ordinary_text_is_as_it_was(igtm, X):
    labels = np.array(["<5 µm", "a & b", "Größe", "漢"])[np.arange(len(X)) % 4]
    chart = plot.projection(igtm, X, labels=labels, name="size (µm)", title="Größe < 5")
    assert domain(chart) == sorted(set(labels.tolist()))
    assert chart.to_dict()["title"]["text"] == "Größe < 5"


def test_a_title_may_have_lines(igtm, X):
    assert plot.projection(igtm, X, title="one\ntwo").to_dict()["title"]["text"] == ["one", "two"]


@pytest.mark.parametrize("name", ["image", "title"])
def test_a_name_that_means_something_to_tooltips_does_not(igtm, X, labels, name):
    # vega-tooltip fetches what the field "image" holds.
    chart = plot.projection(igtm, X, labels=labels, name=name).to_dict()
    told = {field["title"] for field in chart["encoding"]["tooltip"]}
    assert f"{name}\u2060" in told
    assert name not in told


def test_a_label_of_a_million_letters_is_drawn():
    X = correlated(40, 3)
    igtm = IGTM(k=3, m=2, niter=2).fit(X)
    labels = np.where(np.arange(40) % 2 == 0, "z" * 1_000_000, "b").astype(object)
    spec = plot.projection(igtm, X, labels=labels, name="n" * 1_000_000, title="t" * 1_000_000).to_json()
    assert len(spec) < 60_000
