"""What a few rows say under a map: where each lies, how surely, and how well the map explains it.

The room walks the rows of one block, a tile at a time, by the kernel that it is told; it knows models, and
neither sums nor iterations. Statistics add up what it says, and projections write it down.
"""
