"""What one block of rows adds to a pass over all of them.

Each file holds a frozen value with `__add__` beside the function that makes it from a block. The room knows
posteriors, and neither what is done with the sums nor who adds them. Solvers work from these sums, and passes
add them up over the blocks.
"""
