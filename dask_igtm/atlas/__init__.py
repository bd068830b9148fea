"""Maps within maps: how a tree of maps grows, level by level, and which of its splits pay.

It knows fits, passes over rows and the regions of a map, and nothing of estimators, which call it.
"""
