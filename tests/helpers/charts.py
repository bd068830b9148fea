"""What a chart draws, read from its specification."""

import pandas as pd


def drawn(chart):
    """Records of the first layer of a chart, as a frame; the specification is validated by the way."""
    return pd.DataFrame(first_layer(chart.to_dict())["data"]["values"])


def first_layer(spec):
    return spec["layer"][0] if "layer" in spec else spec


def panels(chart):
    """Records of each panel, of its first layer."""
    return [pd.DataFrame(panel["data"]["values"]) for panel in map(first_layer, chart.to_dict()["concat"])]


def subtitle(chart):
    return first_layer(chart.to_dict())["title"]["subtitle"]
