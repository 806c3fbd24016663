"""BEAR's losses once more in float64, by loops over rows and samples; its limits, and what only it can do."""

import math

import numpy as np
import pytest
import torch

from awaccli.algorithms.bear import Bear
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.losses import laplacian_mmd, soft_clipped_q
from awaccli.config.baselines import BearSettings
from awaccli.config.section import NetworkSettings, OptimiserSettings

NETWORK = NetworkSettings(
    policy_hidden=(8,), critic_hidden=(8,), initial_std=0.5, min_log_std=-3, normalize_observations=True
)


def bear(spaces, **settings):
    chosen = {"bc_updates": 0, "samples": 3, "kernel_width": 0.7} | settings
    return Bear(BearSettings(network=NETWORK, **chosen), Setup(spaces, seed=0))


def reference_mmd(samples, others, width):
    def mean_kernel(some, more):
        return np.mean([[math.exp(-np.abs(x - y).sum() / (2 * width)) for x in some] for y in more])

    squared = mean_kernel(samples, samples) + mean_kernel(others, others) - 2 * mean_kernel(samples, others)
    return math.sqrt(squared + 1e-6)


def test_mmd_is_that_of_the_reference_and_knows_equal_sets():
    rng = np.random.default_rng(0)
    samples, others = rng.uniform(-1, 1, (3, 4, 2)), rng.uniform(-1, 1, (5, 4, 2))
    found = laplacian_mmd(torch.from_numpy(samples), torch.from_numpy(others), 0.7).tolist()
    assert found == pytest.approx([reference_mmd(samples[:, i], others[:, i], 0.7) for i in range(4)])
    same = laplacian_mmd(torch.from_numpy(samples), torch.from_numpy(samples[::-1].copy()), 0.7)
    assert same.tolist() == pytest.approx([1e-3] * 4, rel=1e-3)


def test_soft_clipping_lies_between_the_critics():
    q = torch.tensor([[1.0, 5.0], [3.0, 4.0]])
    assert soft_clipped_q(q, 0.75).tolist() == [1.5, 4.25]
    assert soft_clipped_q(q, 1.0).tolist() == [1, 4]


def reference_losses(known, *, share, threshold, width, dual, following=False):
    def drawn(prefix, observation, draws):
        mean, s = known.head(prefix, observation), known.head(prefix, observation, "std_head")
        return np.tanh(mean + np.exp(NETWORK.min_log_std / (1 + np.exp(s))) * draws)

    squared, climbs, excesses = 0.0, [], []
    for i in range(known.size):
        here, there, logged = known.here(i), known.there(i), known.rows["actions"][i]
        values = []
        for action in drawn("target_policy", there, known.draws["next"][:, i]):
            q = known.q("target_critic", there, action)
            values.append(share * min(q) + (1 - share) * max(q))
        target = known.rows["rewards"][i] + known.rows["bootstraps"][i] * max(values)
        squared += sum((one - target) ** 2 for one in known.q("critic", here, logged)) / known.size

        actions = drawn("policy", here, known.draws["here"][:, i])
        others = drawn("behaviour", here, known.draws["behaviour"][:, i])
        excesses.append(reference_mmd(actions, others, width) - threshold)
        climbs.append(0 if following else min(known.q("critic", here, actions[0])))
    return dual * np.mean(excesses) - np.mean(climbs), squared, -dual * np.mean(excesses)


@pytest.mark.parametrize("following", [False, True])
def test_losses_are_those_of_the_reference(spaces, shaken, make_batch, make_noise, reference, following):
    learner = shaken(bear(spaces, bc_updates=int(following)))
    learner._dual.log_value.data.fill_(0.3)
    batch = make_batch(bootstraps=torch.tensor([0.99, 0.0, 0.99**3, 0.99, 0.99]))
    noise = make_noise(learner)
    policy, critic, dual = reference_losses(
        reference(learner, batch, noise),
        share=0.75,
        threshold=0.05,
        width=0.7,
        dual=math.exp(0.3),
        following=following,
    )
    found = learner.update(batch, noise)
    assert found["loss/policy"].item() == pytest.approx(policy, rel=1e-4)
    assert found["loss/critic"].item() == pytest.approx(critic, rel=1e-4)
    assert found["loss/dual"].item() == pytest.approx(dual, rel=1e-4)


def test_the_dual_rises_while_the_mmd_is_above_its_threshold_and_falls_below(spaces, make_batch, make_noise):
    steps = {}
    for threshold in (0.01, 1.4):
        learner = bear(spaces, threshold=threshold)
        steps[threshold] = []
        for number in range(5):
            batch, noise = make_batch(seed=number), make_noise(learner, seed=number)
            mmd = learner.diagnose(batch, noise)["behaviour/mmd"]
            assert (mmd > threshold) == (threshold == 0.01)
            before = learner._dual().item()
            learner.update(batch, noise)
            steps[threshold].append(learner._dual().item() - before)
    assert min(steps[0.01]) > 0 > max(steps[1.4])


def test_the_dual_stays_in_its_range(spaces, make_batch, make_noise):
    for threshold, expected in ((1e-3, 10.0), (1.4, -5.0)):
        learner = bear(spaces, threshold=threshold, dual_lr=8.0)
        for _ in range(3):
            learner.update(make_batch(), make_noise(learner))
        assert learner._dual.log_value.item() == expected


def test_with_a_loose_threshold_the_policy_only_climbs_the_critic(spaces, shaken, make_batch, make_noise):
    # Its dual is at its lowest, and the gradient is that of -min_j Q_j(s, a) alone.
    learner = shaken(bear(spaces, threshold=1.4, dual_lr=8.0, optimiser=OptimiserSettings(policy_lr=1e-9)))
    for _ in range(3):
        learner.update(make_batch(), make_noise(learner))
    batch, noise = make_batch(size=64), make_noise(learner, size=64)
    block = learner._blocks[learner._policy]

    def gradient(loss):
        block.gradients.zero_()
        loss.backward()
        return block.gradients.clone()

    constrained = gradient(learner._losses(batch, noise, phase=False)["loss/policy"])
    observations = learner._normaliser(batch.observations)
    mean, log_std = learner._policy(observations)
    actions = torch.tanh(mean + log_std.exp() * noise["here"][0])
    free = gradient(-learner._judge(observations, actions).amin(dim=0).mean())
    assert (constrained - free).norm() < 0.05 * free.norm()


def test_the_warm_start_leaves_the_critic_out(spaces, shaken, make_batch, make_noise):
    # Whatever the critics say, the policy of the first phase is the same.
    learners = [shaken(bear(spaces, bc_updates=2)) for _ in range(2)]
    learners[1]._blocks[learners[1]._critic].values.neg_()
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
        learner.update(make_batch(), make_noise(learner))
    one, two = (learner._blocks[learner._policy].values for learner in learners)
    assert torch.equal(one, two)
    for learner in learners:
        learner.update(make_batch(), make_noise(learner))
    assert not torch.equal(one, two)


def test_the_mmd_brings_the_policy_to_the_data(spaces, make_batch, make_noise):
    optimiser = OptimiserSettings(policy_lr=1e-2, weight_decay=0)
    learner = bear(spaces, bc_updates=1000, optimiser=optimiser, samples=5)
    for number in range(120):
        batch = make_batch(size=64, seed=number)
        batch.actions.copy_(0.7 + 0.05 * batch.actions)
        learner.update(batch, make_noise(learner, size=64, seed=number))
    acted = torch.tanh(learner._policy(learner._normaliser(batch.observations))[0])
    assert acted.detach().numpy() == pytest.approx(0.7, abs=0.15)


def test_its_value_is_that_of_the_action_it_takes(spaces, shaken, make_batch, reference, make_noise):
    learner = shaken(bear(spaces, samples=4))
    batch = make_batch()
    known = reference(learner, batch, make_noise(learner))
    draws = learner._draws.double().numpy()
    for i, value in enumerate(learner.state_values(batch.observations).tolist()):
        here = known.here(i)
        mean, s = known.head("policy", here), known.head("policy", here, "std_head")
        std = np.exp(NETWORK.min_log_std / (1 + np.exp(s)))
        values = [known.q("critic", here, np.tanh(mean + std * draw)) for draw in draws]
        assert value == pytest.approx(min(max(values, key=lambda q: q[0])), rel=1e-4)


def test_it_resumes_to_the_same_bits(spaces, assert_resumes):
    assert_resumes(lambda: bear(spaces, bc_updates=2))
