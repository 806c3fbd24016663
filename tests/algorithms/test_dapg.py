"""DAPG's gradient, Fisher matrix and step once more in float64, row by row; and what only it can do."""

import copy

import numpy as np
import pytest
import torch

from awaccli.algorithms.dapg import Dapg
from awaccli.algorithms.learner import Setup
from awaccli.algorithms.natural import conjugate_gradient, fisher_product, natural_step
from awaccli.algorithms.networks import Spaces
from awaccli.config.baselines import DapgSettings
from awaccli.config.section import NetworkSettings, OptimiserSettings
from awaccli.protocols import Batch

NETWORK = NetworkSettings(
    policy_hidden=(6,), critic_hidden=(6,), initial_std=0.4, min_log_std=-3, normalize_observations=True
)


def dapg(spaces, **settings):
    chosen = {"network": NETWORK, "bc_updates": 0, "policy_every": 1} | settings
    return Dapg(DapgSettings(**chosen), Setup(spaces, seed=0))


@pytest.fixture
def shaken_dapg(spaces, shaken):
    def make(**settings):
        learner = shaken(dapg(spaces, **settings))
        learner._policy.head.weight.data *= 0.3
        return learner

    return make


def gradients(learner, batch):
    """Gradients of ``log pi(a_i | s_i)``, of each mean and of the log std, in float64, one row at a time."""
    policy = copy.deepcopy(learner._policy).double()
    seen = learner._normaliser(batch.observations).double()
    parameters = list(policy.parameters())

    def flat(output):
        found = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
        parts = zip(found, parameters, strict=True)
        return torch.cat([(torch.zeros_like(p) if g is None else g).flatten() for g, p in parts]).numpy()

    log_std, scores, means = policy.log_std(), [], []
    for row, action in zip(seen, batch.actions.double(), strict=True):
        mean = policy.mean(row[None])[0]
        normal = torch.distributions.Normal(mean, log_std.exp())
        scores.append(flat(normal.log_prob(action).sum()))
        means.append(np.stack([flat(entry) for entry in mean]))
    spreads = np.stack([flat(entry) for entry in log_std])
    return np.stack(scores), np.stack(means), spreads, log_std.exp().detach().numpy()


def dense_fisher(means, spreads, std):
    of_mean = sum(m.T @ np.diag(std**-2) @ m for m in means) / len(means)
    return of_mean + 2 * spreads.T @ spreads


def reference_weights(learner, batch, steps):
    values = learner._value(learner._normaliser(batch.observations)).double().detach().numpy()
    advantages = batch.returns.double().numpy() - values
    online = ~batch.offline.numpy()
    mean, std = advantages[online].mean(), advantages[online].std()
    scaled = [(a - mean) / std for a in advantages]
    demo = 0.3 * 0.5**steps * max(a for a, own in zip(scaled, online, strict=True) if own)
    return np.array([a if own else demo for a, own in zip(scaled, online, strict=True)])


def test_conjugate_gradients_solve_a_linear_system():
    rng = np.random.default_rng(0)
    root = rng.standard_normal((6, 6))
    matrix, vector = torch.from_numpy(root @ root.T + np.eye(6)), torch.from_numpy(rng.standard_normal(6))
    found = conjugate_gradient(lambda v: matrix @ v, vector, 6)
    assert found.numpy() == pytest.approx(np.linalg.solve(matrix.numpy(), vector.numpy()), rel=1e-6)
    assert conjugate_gradient(lambda v: matrix @ v, 0 * vector, 3).tolist() == [0] * 6


def test_products_are_those_of_the_fisher_matrix_of_the_reference(shaken_dapg, make_batch):
    learner, batch = shaken_dapg(), make_batch(size=7)
    _, means, spreads, std = gradients(learner, batch)
    fisher = dense_fisher(means, spreads, std)
    product = fisher_product(learner._policy, learner._normaliser(batch.observations))
    for seed in range(3):
        vector = np.random.default_rng(seed).standard_normal(len(fisher))
        found = product(torch.from_numpy(vector.astype(np.float32)))
        assert found.numpy() == pytest.approx(fisher @ vector, rel=1e-3, abs=1e-3)


def test_weights_are_those_of_the_reference(shaken_dapg, make_batch):
    learner, batch = shaken_dapg(demo_weight=0.3, demo_decay=0.5), make_batch(size=9)
    learner._steps.fill_(2)
    found = learner._weights(batch, learner._normaliser(batch.observations))
    assert found.numpy() == pytest.approx(reference_weights(learner, batch, steps=2), rel=1e-4, abs=1e-5)


def test_a_step_solves_for_the_natural_gradient(shaken_dapg, make_batch):
    learner, batch = shaken_dapg(), make_batch(size=40)
    scores, means, spreads, std = gradients(learner, batch)
    slope = scores.mean(axis=0)
    damped = dense_fisher(means, spreads, std) + 0.1 * np.eye(len(slope))
    expected = np.linalg.solve(damped, slope)
    expected *= np.sqrt(2 * 0.03 / (slope @ expected))
    policy = copy.deepcopy(learner._policy).double()
    product = fisher_product(policy, learner._normaliser(batch.observations).double())
    found = natural_step(torch.from_numpy(slope), product, kl=0.03, iterations=80, damping=0.1)
    assert found.numpy() == pytest.approx(expected, rel=1e-3, abs=1e-5)


def test_an_update_gains_more_for_its_size_than_the_plain_gradient(shaken_dapg, make_batch):
    learner, batch = shaken_dapg(demo_weight=0.3, step_kl=1e-4), make_batch(size=40)
    scores, means, spreads, std = gradients(learner, batch)
    slope = (reference_weights(learner, batch, steps=0)[:, None] * scores).mean(axis=0)
    fisher = dense_fisher(means, spreads, std)
    best = np.linalg.solve(fisher + 1e-4 * np.eye(len(fisher)), slope)

    def gain(direction):
        """Per square root of KL; the natural gradient's is 1."""
        return slope @ direction / np.sqrt((direction @ fisher @ direction) * (slope @ best))

    values = learner._blocks[learner._policy].values
    before = values.double()
    learner.update(batch, {})
    step = (values.double() - before).numpy()
    assert gain(slope) < 0.5 < 0.75 < gain(step)  # ten conjugate gradients are no exact solution
    assert 0.5 * step @ fisher @ step == pytest.approx(1e-4, rel=0.1)


def test_the_step_has_the_size_that_was_asked_for(spaces, make_batch):
    for wanted in (1e-3, 2.5e-2, 0.1):
        learner, found = dapg(spaces, step_kl=wanted), []
        for number in range(9):
            batch = make_batch(size=200, seed=number)
            learner.update(batch, {})
            found.append(learner.diagnose(batch, {})["policy/step_kl"] / wanted)
        assert 1 / 1.5 < np.median(found) < 1.5
        assert 1 / 5 < min(found) < max(found) < 5  # in its first steps a fresh policy is far from linear


def test_the_weight_of_the_demonstrations_decays_with_the_steps_of_the_policy(spaces, make_batch):
    learner = dapg(spaces, demo_weight=0.2, demo_decay=0.9, policy_every=2, bc_updates=1)
    seen = []
    for number in range(7):
        learner.update(make_batch(seed=number), {})
        seen.append(learner.diagnose(make_batch(), {})["demo/weight"])
    steps = [0, 1, 1, 2, 2, 3, 3]
    assert seen == pytest.approx([0.2 * 0.9**k for k in steps])


def test_without_demonstrations_their_weight_changes_nothing(shaken_dapg, make_batch):
    ended = []
    for weight in (0.0, 9.0):
        learner = shaken_dapg(demo_weight=weight)
        learner.update(make_batch(offline=torch.zeros(5, dtype=torch.bool)), {})
        ended.append(learner._blocks[learner._policy].values.clone())
    assert torch.equal(*ended)


def test_demonstrations_alone_move_nothing(shaken_dapg, make_batch):
    learner = shaken_dapg()
    before = {name: tensor.clone() for name, tensor in learner.tensors().items()}
    learner.update(make_batch(offline=torch.ones(5, dtype=torch.bool)), {})
    for name, tensor in learner.tensors().items():
        if name.startswith(("policy.", "value.")):
            assert torch.equal(tensor, before[name]), name


def test_first_it_clones_and_leaves_the_spread_alone(spaces, make_batch):
    learner = dapg(spaces, bc_updates=100, optimiser=OptimiserSettings(policy_lr=1e-2, weight_decay=0))
    spread = learner._policy.log_std().clone()
    first = learner.update(make_batch(seed=0), {})["loss/policy"]
    for _ in range(80):
        last = learner.update(make_batch(seed=0), {})["loss/policy"]
    assert last < first - 0.5
    assert torch.equal(learner._policy.log_std(), spread)
    assert learner._steps == 0


def test_between_steps_only_the_value_function_learns(shaken_dapg, make_batch):
    learner = shaken_dapg(policy_every=3)
    moved = []
    for number in range(6):
        before = [learner._blocks[net].values.clone() for net in (learner._policy, learner._value)]
        learner.update(make_batch(seed=number), {})
        after = [learner._blocks[net].values for net in (learner._policy, learner._value)]
        moved.append([not torch.equal(a, b) for a, b in zip(before, after, strict=True)])
    assert moved == [[number % 3 == 0, True] for number in range(6)]


def test_on_policy_it_finds_the_best_action_of_a_bandit():
    """The best action is 0.5 s; a policy that starts at 0 sees only what its own actions earn."""
    spaces = Spaces(1, np.zeros(1), np.ones(1))
    network = NetworkSettings(policy_hidden=(16,), critic_hidden=(16,), initial_std=0.3, mean="linear")
    learner = Dapg(
        DapgSettings(
            network=network,
            bc_updates=0,
            policy_every=5,
            step_kl=0.02,
            optimiser=OptimiserSettings(critic_lr=1e-2),
        ),
        Setup(spaces, seed=0),
    )
    rng, regrets = np.random.default_rng(0), []
    for _ in range(40):
        states = torch.from_numpy(rng.uniform(-1, 1, (400, 1)).astype(np.float32))
        noise = torch.from_numpy(rng.standard_normal((400, 1), np.float32))
        with torch.no_grad():
            mean = learner._policy.mean(states)
            actions = mean + learner._policy.log_std().exp() * noise
        rewards = -(actions - 0.5 * states).square()[:, 0]
        offline = torch.zeros(400, dtype=torch.bool)
        batch = Batch(states, actions, rewards, 0 * rewards, states, rewards, offline, rewards**0)
        for _ in range(5):
            learner.update(batch, {})
        regrets.append(float((mean - 0.5 * states).square().mean()))
    assert regrets[0] > 0.07
    assert regrets[-1] < 0.005


def test_a_flat_objective_gives_no_step():
    step = natural_step(torch.zeros(3), lambda v: v, kl=0.1, iterations=3, damping=0.1)
    assert step.tolist() == [0, 0, 0]


def test_it_resumes_to_the_same_bits(spaces, make_batch):
    def make():
        return dapg(spaces, policy_every=2, bc_updates=1)

    whole = make()
    for number in range(5):
        if number == 3:
            resumed = make()
            resumed.load({name: tensor.clone() for name, tensor in whole.tensors().items()})
        whole.update(make_batch(seed=number), {})
    for number in (3, 4):
        resumed.update(make_batch(seed=number), {})
    for name, tensor in whole.tensors().items():
        assert torch.equal(tensor, resumed.tensors()[name]), name
