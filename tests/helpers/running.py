"""A solver run by itself, on an E-step of one model."""

from dask_igtm.solvers.em import run


def run_alone(state, prior, e_step, *, niter, tol, on_iteration=lambda _: None):
    def pass_over(models):
        return [e_step(model) for model in models.values()]

    (after,) = run(
        [state], [prior], pass_over, niter=niter, tol=tol, on_pass=lambda states: on_iteration(states[0])
    )
    return after
