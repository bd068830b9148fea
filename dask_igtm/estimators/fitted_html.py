"""What notebooks show of an estimator: the diagram of scikit-learn, and below it what was fitted."""

from __future__ import annotations

from typing import Any

from dask_igtm.data.html_text import html_table
from dask_igtm.data.plain_text import listed
from dask_igtm.projection.fit_figures import fit_figures

SHOWN_CLASSES = 10


class FittedHtmlMixin:
    """Add the figures of the fit to the HTML of an estimator; its text is that of scikit-learn."""

    # scikit-learn, from 1.6 to 1.9, makes its HTML for these two: what asks for HTML, and notebooks.

    def _repr_html_inner(self) -> str:
        return str(super()._repr_html_inner()) + _fitted_html(self)  # type: ignore[misc]

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)  # type: ignore[misc]
        if "text/html" in bundle:
            bundle["text/html"] += _fitted_html(self)
        return bundle


def _fitted_html(estimator: Any) -> str:
    """Return what was fitted as HTML, or nothing where nothing was."""
    figures = _searched(estimator) if hasattr(estimator, "best_params_") else {}
    best = getattr(estimator, "best_estimator_", estimator)
    if hasattr(best, "classes_"):
        figures["Classes"] = f"{len(best.classes_):,}: {listed(best.classes_, SHOWN_CLASSES)}"
    igtm = getattr(best, "igtm_", best)
    if hasattr(igtm, "model_"):
        figures |= fit_figures(igtm)
    return (
        f"<details open><summary>Fitted</summary>{html_table(figures.items())}</details>" if figures else ""
    )


def _searched(search: Any) -> dict[str, Any]:
    """Return what a search has found, each figure by its name."""
    best = ", ".join(f"{name}={value}" for name, value in search.best_params_.items())
    return {
        "Candidates": len(search.cv_results_["params"]),
        "Folds": search.n_splits_,
        "Best": best or "the only candidate",
        "Its mean score": search.best_score_,
    }
