"""What a chart draws, read from its specification."""

import pandas as pd


def drawn(chart):
    """Records of the first layer of a chart, as a frame; the specification is validated by the way."""
    return _records(chart.to_dict())


def first_layer(spec):
    return spec["layer"][0] if "layer" in spec else spec


def panels(chart):
    """Records of each panel, of its first layer."""
    return [_records(panel) for panel in chart.to_dict()["concat"]]


def _records(spec):
    return pd.DataFrame((spec if "data" in spec else spec["layer"][0])["data"]["values"])


def subtitle(chart):
    return first_layer(chart.to_dict())["title"]["subtitle"]
