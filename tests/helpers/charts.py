"""What a chart draws, read from its specification."""

import pandas as pd


def drawn(chart):
    """Records of the first layer of a chart, as a frame; the specification is validated by the way."""
    spec = chart.to_dict()
    return pd.DataFrame((spec if "data" in spec else spec["layer"][0])["data"]["values"])


def panels(chart):
    return [pd.DataFrame(panel["data"]["values"]) for panel in chart.to_dict()["concat"]]


def subtitle(chart):
    spec = chart.to_dict()
    return (spec["layer"][0] if "layer" in spec else spec)["title"]["subtitle"]
