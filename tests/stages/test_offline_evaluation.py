import numpy as np
import pytest

from awaccli.data.offline_evaluation import CAVEAT
from awaccli.data.transitions import ActionScale
from awaccli.envs.acting import policy_from_weights
from awaccli.errors import DatasetError, InterruptedRunError
from awaccli.stages.offline_evaluation import evaluate_offline


def discounted(episode):
    return float(episode.rewards.astype(np.float64) @ 0.99 ** np.arange(len(episode)))


@pytest.fixture(scope="module")
def held(reference):
    return reference.collect(seed=0)


def test_likelihood_is_that_of_the_policy_on_the_recorded_actions(reference, held, tmp_path):
    from awaccli.stages.pretrain import pretrain

    # No averaged policy: the one that acts is the one that learns.
    bc = reference.settings.bc.model_copy(update={"average": 0.0})
    settings = reference.settings.model_copy(update={"bc": bc})
    clone = pretrain([held], settings, tmp_path / "bc.ckpt", algo="bc")
    found = evaluate_offline(clone, [held], fqe_updates=0)
    weights, scale = clone.policy(), ActionScale.of(held.task)
    policy, log_std = policy_from_weights(weights, held.task), weights.arrays["log_std"].astype(np.float64)
    expected = []
    for episode in held:
        mean = scale.scaled(np.stack([policy.act(row, None) for row in episode.observations[:-1]]))
        error = (scale.scaled(episode.actions) - mean) / np.exp(log_std)
        per_step = (0.5 * error**2 + log_std + 0.5 * np.log(2 * np.pi)).sum(axis=1)
        expected.append(per_step.mean())
    assert found.nll.mean == pytest.approx(np.mean(expected), rel=1e-4)
    assert found.nll.low <= found.nll.mean <= found.nll.high
    assert (found.td_error, found.q_mean, found.fitted_q) == (None, None, None)
    assert found.seen


def test_a_policy_with_critics_and_a_fitted_value(reference, held, chain):
    checkpoint = reference.pretrain(reference.rollout(held))
    other = chain("other").collect(seed=9)
    found = evaluate_offline(checkpoint, [other], fqe_updates=300)
    assert not found.seen
    assert (found.episodes, found.steps) == (len(other), other.n_steps)
    assert found.td_error.mean > 0
    fitted = found.fitted_q
    assert fitted.value.low <= fitted.value.mean <= fitted.value.high
    assert fitted.behaviour.mean == pytest.approx(np.mean([discounted(episode) for episode in other]))
    assert (fitted.updates, fitted.caveat) == (300, CAVEAT)
    assert evaluate_offline(checkpoint, [other], fqe_updates=300) == found


def test_data_of_other_sizes_and_signals(reference, held, chain, stop_after):
    from awaccli.envs.registry import resolve_task

    checkpoint = reference.pretrain(reference.rollout(held))
    wide = chain("wide")
    wide.task = resolve_task("wide_tasks:Wide-v0")
    with pytest.raises(DatasetError, match=r"observation_dim 4.*trained with 3"):
        evaluate_offline(checkpoint, [wide.collect()])
    with pytest.raises(InterruptedRunError):
        evaluate_offline(checkpoint, [held], report=stop_after(6))
