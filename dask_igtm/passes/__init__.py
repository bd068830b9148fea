"""The engine: one pass over all blocks, on any scheduler, with the same bits on each.

The room prepares the graph of the data once, adds up statistics over it along a tree, or maps rows to rows.
It knows blocks and what to call on each, and nothing of iterations. Fits and fitted maps call it.
"""
