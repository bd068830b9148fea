"""Lay labels and measurements over a map: which digit lies where, and how a disease goes on there.

    python examples/landscapes.py

Two real data sets of scikit-learn: handwritten digits with their classes, and diabetes patients with the
progression of their disease. The maps are printed as text; `to_frame()` gives them to any plotting library.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes, load_digits

from dask_igtm import IGTM, landscape


def main() -> None:
    """Make a class map, then a property map."""
    digits_by_class()
    diabetes_by_progression()


def digits_by_class() -> None:
    """Print the most probable digit at each node, and what the map says of images without a label."""
    X, digits = load_digits(return_X_y=True)
    train, test = np.arange(len(X)) % 4 > 0, np.arange(len(X)) % 4 == 0
    igtm = IGTM(k=14, m=7, scale="center", solver="accelerated").fit(X[train])

    # P(digit | node), from the responsibilities of the nodes for images of each digit.
    classes = landscape.classes(igtm, X[train], digits[train])
    print("The most probable digit at each node ('.' where none has half of the probability):")
    likeliest = np.array(classes.columns)[classes.values.argmax(axis=1)].astype(str)
    print_map(np.where(classes.values.max(axis=1) >= 0.5, likeliest, "."))

    # P(digit | image) = sum over nodes of P(digit | node) P(node | image).
    told = igtm.set_params(model="responsibilities").transform(X[test]) @ classes.values
    right = np.array(classes.columns)[told.argmax(axis=1)] == digits[test]
    print(f"It tells {right.mean():.1%} of {test.sum()} images that it has not seen.")

    # Do the unseen images lie where those of the fit lie?
    coverage = landscape.coverage(igtm, X[train], X[test])
    print(f"{coverage.summary['query']:.1%} of them lie on nodes that the others support.\n")


def diabetes_by_progression() -> None:
    """Print the mean progression at each node that patients support."""
    X, progression = load_diabetes(return_X_y=True, scaled=False)
    igtm = IGTM(k=10, scale="standard", solver="accelerated").fit(X)
    landscape_ = landscape.property(igtm, X, progression)
    print(landscape_)
    mean, _, support = landscape_.values.T
    print("Mean progression of diabetes at each node ('.' where less than one patient lies):")
    print_map([f"{value:3.0f}" if n >= 1 else "  ." for value, n in zip(mean, support, strict=True)])


def print_map(cells: object) -> None:
    """Print one cell a node as a square, x1 to the right and x2 upwards."""
    cells = np.asarray(cells)
    side = int(np.sqrt(len(cells)))
    for row in cells.reshape(side, side).T[::-1]:  # nodes go with x1 slowest
        print("  " + " ".join(row))


if __name__ == "__main__":
    main()
