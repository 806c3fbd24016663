"""A captured step makes the updates that the step makes; needs a GPU."""

import copy

import pytest
import torch

from awaccli.algorithms.awac import Awac
from awaccli.algorithms.bc import BehaviourCloning
from awaccli.algorithms.learner import Setup
from awaccli.config.section import OptimiserSettings
from awaccli.config.settings import AwacSettings, BcSettings

pytestmark = pytest.mark.gpu


def on_gpu(values):
    return {name: value.cuda() for name, value in values.items()}


@pytest.fixture
def make_learner(spaces):
    def make(device):
        settings = AwacSettings(
            bc_updates=2,
            return_updates=3,
            average=0.9,
            average_share=0.5,
            policy_members=2,
            advantage_critic="target",
            critic_weights="importance",
            tau=0.1,
            optimiser=OptimiserSettings(decay_updates=5),
        )
        return Awac(settings, Setup(spaces, seed=0, reward_range=(-1, 0), device=device))

    return make


def updated(learner, make_batch, make_noise, device, updates=range(8)):
    found = []
    for number in updates:
        batch, noise = make_batch(seed=number), make_noise(learner, seed=number)
        if device == "cuda":
            moved = on_gpu({name: getattr(batch, name) for name in batch.__slots__})
            batch, noise = type(batch)(**moved), on_gpu(noise)
        losses = learner.update(batch, noise)
        found.append({name: float(value) for name, value in losses.items()})
    return found


def test_through_all_phases_it_learns_what_the_cpu_learns(make_learner, make_batch, make_noise):
    cpu, gpu = make_learner("cpu"), make_learner("cuda")
    expected = updated(cpu, make_batch, make_noise, "cpu")
    assert updated(gpu, make_batch, make_noise, "cuda") == [
        pytest.approx(losses, rel=1e-3, abs=1e-5) for losses in expected
    ]
    for name, tensor in cpu.tensors().items():
        torch.testing.assert_close(gpu.tensors()[name].cpu(), tensor, rtol=1e-2, atol=1e-4)
    assert gpu.updates == 8


def test_repeated_and_resumed_updates_have_the_same_bits(make_learner, make_batch, make_noise):
    runs = [make_learner("cuda") for _ in range(3)]
    for learner in runs[:2]:
        updated(learner, make_batch, make_noise, "cuda")
    updated(runs[2], make_batch, make_noise, "cuda", range(4))
    resumed = make_learner("cuda")
    resumed.load(copy.deepcopy(runs[2].tensors()))
    updated(resumed, make_batch, make_noise, "cuda", range(4, 8))
    for name, tensor in runs[0].tensors().items():
        assert torch.equal(tensor, runs[1].tensors()[name]), name
        assert torch.equal(tensor, resumed.tensors()[name]), name


def test_cloning_is_captured_too(spaces, make_batch, make_noise):
    learners = {
        device: BehaviourCloning(BcSettings(average=0.5), Setup(spaces, seed=0, device=device))
        for device in ("cpu", "cuda")
    }
    for device, learner in learners.items():
        updated(learner, make_batch, make_noise, device)
    for name, tensor in learners["cpu"].tensors().items():
        torch.testing.assert_close(learners["cuda"].tensors()[name].cpu(), tensor, rtol=1e-2, atol=1e-4)
