"""Map the handwritten digits of scikit-learn, all in memory.

    python examples/quickstart.py [--output DIR]

1,797 images of 8 x 8 pixels become positions on a map. With altair and vl-convert-python (the extra
`examples`), the map is drawn into examples/output, or into DIR.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from sklearn.datasets import load_digits

from dask_igtm import IGTM, landscape, load


def main() -> None:
    """Fit, look up, save, load, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(__file__).parent / "output"
    parser.add_argument("--output", type=Path, default=default, metavar="DIR", help="where results go")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    X, digits = load_digits(return_X_y=True)

    # A map of 12 x 12 nodes. "center" makes it independent of where the origin of the pixels lies.
    igtm = IGTM(k=12, m=6, scale="center").fit(X)
    print(f"{igtm.n_iter_} iterations, converged: {igtm.converged_}")
    print(f"mean of ln p(x) per image: {igtm.log_likelihood_:.3f}")

    # Where each image lies in the square [-1, 1] x [-1, 1], and how probable it is under the map.
    positions = igtm.transform(X)
    least = igtm.score_samples(X).argmin()
    print(f"the first image, a {digits[0]}, lies at {positions[0].round(3)}")
    print(f"the oddest image, a {digits[least]}, lies at {positions[least].round(3)}")

    # What the nodes say of digits: the probability of each at each node.
    classes = landscape.classes(igtm, X, digits)
    print(classes)

    # A fitted map is a file of kilobytes, and comes back to the bit.
    igtm.save(output / "digits.npz")
    assert (load(output / "digits.npz").transform(X) == positions).all()
    print(f"saved: {output / 'digits.npz'}")

    if importlib.util.find_spec("altair") and importlib.util.find_spec("vl_convert"):
        draw(classes, output / "digits.png")
        print(f"drawn: {output / 'digits.png'}")


def draw(classes: landscape.Landscape, png: Path) -> None:
    """Write the most probable digit at each node, the larger the more images lie there."""
    import altair as alt  # noqa: PLC0415 - an extra

    nodes = classes.to_frame()
    digits = nodes.drop(columns=["x1", "x2"])
    nodes = nodes[["x1", "x2"]].assign(digit=digits.idxmax(axis=1), images=classes.support)
    whole_map = {
        "scale": alt.Scale(domain=[-1.1, 1.1], nice=False),
        "axis": alt.Axis(grid=False, tickCount=5),
    }
    alt.Chart(
        nodes, title="Handwritten digits, larger where more of them lie", width=420, height=420
    ).mark_text(fontWeight="bold").encode(
        x=alt.X("x1:Q", **whole_map),
        y=alt.Y("x2:Q", **whole_map),
        text="digit:N",
        size=alt.Size("images:Q", scale=alt.Scale(range=[6, 34]), legend=None),
        color=alt.Color("digit:N", scale=alt.Scale(scheme="category10"), legend=None),
    ).save(png, scale_factor=2)


if __name__ == "__main__":
    main()
