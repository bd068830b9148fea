"""What a row is drawn from, given its node: a file for each family of distributions.

A family says what logits are made of, which entries it has, what an M-step makes of the sums of an E-step,
and how the objective climbs. Models carry theirs, and nothing else asks which one it is. The room knows
models; posteriors, statistics and solvers call what a model carries.
"""
