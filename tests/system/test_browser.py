"""Pages in a browser: drawn, with tooltips, and no text of the user runs or fetches anything.

Needs Chromium. With BROWSER=required, its absence is a failure.
"""

import http.server
import os
import threading

import numpy as np
import pandas as pd
import pytest
from helpers.browser import BOXES, CHROMIUM, LOOK, attribute, shown, used
from helpers.data import correlated

from dask_igtm import IGTM, landscape, plot, report

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        CHROMIUM is None and os.environ.get("BROWSER") != "required", reason="there is no Chromium"
    ),
]

X = correlated(300, 4)


@pytest.fixture(scope="module")
def server():
    """Return the address of a server, and what was asked of it."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", asked
        serving.shutdown()
        thread.join()


def hostile(address):
    run = "document.title='owned'"
    return [
        f"</script><script>{run}</script>",
        f'<img src={address}/a onerror="{run}">',
        f"<!--<script>{run}",
        f"{address}/image.png",
        f'\\": ({run}), "',
        "\0\x1b[31m\ud800\u2028\u202e\n",
        '</title></style></table><svg onload="' + run + '">',
    ]


def charts(igtm, texts):
    labels = np.array(texts, dtype=object)[np.arange(len(X)) % len(texts)]
    columns = pd.DataFrame(X, columns=texts[: X.shape[1]])
    of_names = IGTM(k=4, m=2, niter=2).fit(columns)
    for name in ("image", "title", texts[0], texts[4], texts[5]):
        yield plot.projection(igtm, X, labels=labels, name=name, title=name)
    yield plot.projection(igtm, X, labels=labels, name="image", max_points=5)
    yield plot.projection(igtm, X, labels=labels, names_in_map=True, tooltip=columns.assign(image=labels))
    yield plot.projection(igtm, X, y=X[:, 0], name=texts[4], title=texts[0])
    yield plot.landscape(landscape.classes(igtm, X, labels), name="image", title=texts[0])
    yield plot.landscape(landscape.property(igtm, X, columns), title=texts[2])
    yield plot.landscape(landscape.coverage(igtm, X, dict.fromkeys(texts, X[::2])), title=texts[1])
    yield plot.components(of_names, title=texts[0])
    yield plot.history(igtm, title=texts[0])


def assert_harmless(page, console, asked):
    assert "<title>owned<" not in page
    assert page.count('class="marks"') >= 1
    assert attribute(page, "data-tooltips") >= 1
    assert attribute(page, "data-images") == 0
    assert console == []
    assert asked == []


def test_charts_are_drawn_and_their_text_is_not_run(tmp_path, server):
    address, asked = server
    igtm = IGTM(k=4, m=2, niter=2).fit(X)
    for chart in charts(igtm, hostile(address)):
        chart.save(tmp_path / "chart.html", inline=True, embed_options={"renderer": "svg"})
        assert_harmless(*shown(tmp_path / "chart.html", tmp_path / "profile"), asked)


def test_a_report_is_drawn_and_its_text_is_not_run(tmp_path, server):
    address, asked = server
    texts = hostile(address)
    frame = pd.DataFrame(X, columns=texts[:4])
    igtm = IGTM(k=4, m=2, niter=2).fit(frame)
    labels = pd.Series(np.array(texts, dtype=object)[np.arange(len(X)) % len(texts)])
    for text in ("image", texts[0], texts[4], texts[5]):
        y = pd.Series(X[:, 0], name=text)
        report(igtm, frame, tmp_path / "map.html", labels=labels.rename(text), y=y, title=text, source=text)
        assert_harmless(*shown(tmp_path / "map.html", tmp_path / "profile"), asked)


def test_names_in_a_map_do_not_collide_and_stay_in_the_frame(tmp_path):
    rows = correlated(600, 3)
    igtm = IGTM(k=10, m=3, niter=10, scale="center").fit(rows)
    means = igtm.transform(rows)
    corner = np.digitize(means[:, 0], [-0.6, 0, 0.6]) * 4 + np.digitize(means[:, 1], [-0.6, 0, 0.6])
    names = np.array([f"CD{number}+/CD45RA+ naive WWW {'i' * number}" for number in range(16)])
    names[3] = "漢字の名前とÄÖÜ"
    labels = names[corner]
    for chart in (
        plot.projection(igtm, rows, labels=labels, names_in_map=True),
        plot.projection(igtm, rows, labels=labels, names_in_map=True, max_points=0),
        plot.landscape(landscape.classes(igtm, rows, labels), names_in_map=True),
    ):
        chart.save(tmp_path / "chart.html", inline=True, embed_options={"renderer": "svg"})
        page, console = shown(tmp_path / "chart.html", tmp_path / "profile", BOXES)
        assert console == []
        frame, *boxes = attribute(page, "data-boxes")
        assert len(boxes) >= 4
        for number, (left, top, right, bottom) in enumerate(boxes):
            assert frame[0] <= left < right <= frame[2]
            assert frame[1] <= top < bottom <= frame[3]
            for other in boxes[:number]:
                assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


def test_what_a_node_tells_is_text_and_not_run(tmp_path, server):
    address, asked = server
    texts = hostile(address)
    frame = pd.DataFrame(X, columns=texts[:4])
    igtm = IGTM(k=2, m=2, niter=2).fit(frame)
    names = pd.Series(np.array(texts, dtype=object)[np.arange(len(X)) % len(texts)], name=texts[1])
    y = pd.Series(X[:, 0], name=texts[0])
    report(igtm, frame, tmp_path / "map.html", labels=names, y=y, ids=names)
    steps = [["focus"], *(["key", key] for key in ("Home", "ArrowUp", "ArrowDown", "ArrowRight", "ArrowUp"))]
    states, console = used(tmp_path / "map.html", tmp_path / "profile", steps)
    told = "".join(state["panel"] for state in states)
    for text in texts[:4]:
        assert text in told
    assert {(state["title"], state["images"]) for state in states} == {("Generative topographic map", 0)}
    assert console == []
    assert asked == []


K = 5  # of the report that is used
FRAME = pd.DataFrame(X, columns=list("abcd"))
IDS = pd.Series([f"row {number}" for number in range(len(X))], name="id")
LABELS = pd.Series(np.where(X[:, 0] > np.median(X[:, 0]), "high", "low"), name="height")
NOBODY = "No node is chosen."
N_MAPS = 4


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=K, m=2, niter=5, scale="center").fit(FRAME)


@pytest.fixture
def page(igtm, tmp_path):
    report(igtm, FRAME, tmp_path / "map.html", labels=LABELS, ids=IDS)
    return tmp_path / "map.html"


def walked(page, *steps):
    """Return what the page tells after each step; the console has to stay empty."""
    states, console = used(page, page.parent / "profile", steps)
    assert console == []
    return states


def marked(i, j):
    """Return where the node of column i and row j of the grid is outlined: on each map, and once."""
    return [[[i, j]]] * N_MAPS


def test_a_click_tells_what_lies_at_a_node(igtm, page):
    members = landscape.members(igtm, FRAME, IDS)
    markers = landscape.markers(igtm, FRAME)
    classes = landscape.classes(igtm, FRAME, LABELS)
    places = [(1, 4, 0), (0, 0, 3), (2, 3, 4), (3, 4, 4)]  # on a map each
    states = walked(page, *(["click", *place] for place in places))
    for (_, i, j), state in zip(places, states, strict=True):
        node = i * K + j
        assert state["marks"] == marked(i, j)
        lines = state["panel"].splitlines()
        assert lines[0].startswith(f"Node {node}")
        assert state["told"].startswith(f"Node {node} at ")
        here = members[members["node"] == node]["id"].tolist()
        assert [line.split("\t")[0] for line in lines if line.startswith("row ")] == here
        for column, value in markers[markers["node"] == node][["column", "value"]].itertuples(index=False):
            (line,) = (line for line in lines if line.startswith(f"{column}\t"))
            assert float(line.split("\t")[1].replace("\N{MINUS SIGN}", "-")) == pytest.approx(value, rel=5e-3)
        best = classes.values[node].argmax()
        assert f"; {classes.columns[best]}, " in state["told"]


def test_keys_walk_from_node_to_node(igtm, page):
    fullest = landscape.density(igtm, FRAME).support.argmax()
    i, j = divmod(int(fullest), K)
    keys = {
        "ArrowUp": lambda i, j: (i, j),  # the first one chooses where most rows are
        "Home": lambda i, j: (0, j),
        "ArrowLeft": lambda i, j: (0, j),  # ends at the frame
        "ArrowRight": lambda i, j: (1, j),
        "End": lambda i, j: (K - 1, j),
        "ArrowDown": lambda i, j: (i, max(j - 1, 0)),
        "Tab": lambda i, j: (i, j),  # is the browser's
    }
    start, *states, end = walked(page, ["focus"], *(["key", key] for key in keys), ["key", "Escape"])
    assert start["focused"] == "maps"
    assert start["ring"] == "solid"
    assert start["marks"] == [[]] * N_MAPS
    for step, state in zip(keys.values(), states, strict=True):
        i, j = step(i, j)
        assert state["marks"] == marked(i, j)
        assert state["told"].startswith(f"Node {i * K + j} at ")
    assert end["marks"] == start["marks"]
    assert end["told"] == NOBODY
    assert end["focused"] == "maps"


def test_a_drag_marks_a_region_and_chooses_nothing(page):
    chosen, dragged, inside, clicked, released, again, escaped = walked(
        page,
        ["click", 0, 1, 1],
        ["drag", 2, [0, 0], [3, 2]],
        ["click", 2, 2, 1],  # in the region, which stays
        ["click", 0, 4, 4],
        ["press", "#node button"],
        ["drag", 1, [1, 1], [3, 3]],
        ["key", "Escape"],
    )
    assert (chosen["region"], chosen["marks"]) == (False, marked(1, 1))
    assert (dragged["region"], dragged["marks"]) == (True, marked(1, 1))
    assert (inside["region"], inside["marks"]) == (True, marked(2, 1))
    assert (clicked["region"], clicked["marks"]) == (False, marked(4, 4))
    assert (released["told"], released["focused"]) == (NOBODY, "maps")
    assert (again["region"], again["told"]) == (True, NOBODY)
    assert not escaped["region"]


def test_maps_stand_below_one_another_where_there_is_no_room(page):
    wide, narrow, clicked = walked(page, ["click", 0, 2, 3], ["narrow", 500], ["click", 3, 0, 4])
    assert (wide["columns"], narrow["columns"]) == (2, 1)
    assert narrow["marks"] == marked(2, 3)
    assert clicked["marks"] == marked(0, 4)


def test_a_report_is_dark_where_the_reader_wants_that(page):
    source = page.read_text()
    looks = []
    for scheme in (1, 0):
        page.write_text(source)
        flag = f"--blink-settings=preferredColorScheme={scheme}"
        found, console = shown(page, page.parent / "profile", LOOK, flag)
        assert console == []
        looks.append(attribute(found, "data-look"))
    light, dark = looks
    assert light["ground"] == "rgb(255, 255, 255)"
    assert light["charts"] == light["history"] == "none"
    assert dark["ground"] == "rgb(31, 31, 31)"  # what the filter makes of the white of charts
    assert dark["charts"] == dark["history"] == "invert(0.88) hue-rotate(180deg)"
    for part in ("text", "panel"):
        assert light[part] != dark[part]
