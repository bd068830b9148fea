"""Judge two maps of the same rows by a few figures, from one pass over them for each.

python examples/judging.py
"""

from __future__ import annotations

from sklearn.datasets import load_digits

from dask_igtm import IGTM, quality


def main() -> None:
    """Compare a stiff map of digits with one that bends, by rows that neither has seen."""
    X = load_digits().data
    seen, unseen = X[::2], X[1::2]
    for name, igtm in {"stiff": IGTM(m=2, scale="center"), "bent": IGTM(m=6, scale="center")}.items():
        # Trustworthiness: neighbours on the map are such in data space. Continuity: the converse.
        print(f"{name}, m={igtm.m}\n{quality(igtm.fit(seen), unseen)}\n")


if __name__ == "__main__":
    main()
