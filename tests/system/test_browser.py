"""Pages in a browser: drawn, with tooltips, and no text of the user runs or fetches anything.

Needs Chromium. With BROWSER=required, its absence is a failure.
"""

import http.server
import os
import threading

import numpy as np
import pandas as pd
import pytest
from helpers.browser import CHROMIUM, attribute, shown
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
        report(igtm, frame, tmp_path / "map.html", labels=labels.rename(text), y=y, title=text)
        assert_harmless(*shown(tmp_path / "map.html", tmp_path / "profile"), asked)
