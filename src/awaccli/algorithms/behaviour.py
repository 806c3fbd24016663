"""A model of who acted in the logged data, for algorithms that must stay near it."""

from __future__ import annotations

from torch import Tensor

from awaccli.algorithms.learner import Setup
from awaccli.algorithms.policies import SquashedGaussianPolicy
from awaccli.config.section import NetworkSettings
from awaccli.seeding import stream


def behaviour_model(setup: Setup, settings: NetworkSettings) -> SquashedGaussianPolicy:
    """Return a fresh model ``b(a | s)`` for maximum likelihood on all rows, offline and online."""
    # DEVIATION: BEAR's is a VAE. A density is needed to say how well the model fits, and BRAC divides by it.
    return SquashedGaussianPolicy(setup.spaces, settings, rng=stream(setup.seed, "init", "behaviour"))


def behaviour_nll(log_prob: Tensor, offline: Tensor) -> dict[str, Tensor]:
    """Return the negative log likelihood of logged actions, and that of offline and online rows apart.

    Args:
        log_prob: float [B], by the model.
        offline: bool [B]. A side without rows is left out, so this is not for a step that is captured.
    """
    found = {"behaviour/nll": -log_prob.mean()}
    for side, rows in (("offline", offline), ("online", ~offline)):
        if bool(rows.any()):
            found[f"behaviour/nll_{side}"] = -log_prob[rows].mean()
    return found
