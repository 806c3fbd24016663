"""A plain PyTorch loop in the usual style: a module per critic, an array per field, `.item()` a step."""

import copy
import itertools

import numpy as np
import torch
from serve import arguments, serve
from torch import nn

options = arguments()
torch.set_num_threads(options.threads)
data = np.load(options.data)
size, observation_dim = data["observations"].shape
action_dim = data["actions"].shape[1]


def mlp(inputs, outputs, layers):
    widths = [inputs] + [options.width] * layers
    body = [m for i, o in itertools.pairwise(widths) for m in (nn.Linear(i, o), nn.ReLU())]
    return nn.Sequential(*body, nn.Linear(widths[-1], outputs))


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean = mlp(observation_dim, action_dim, options.policy_layers)
        self.log_std = nn.Parameter(torch.full((action_dim,), -3.0))

    def forward(self, observations):
        return torch.distributions.Normal(torch.tanh(self.mean(observations)), self.log_std.exp())


policy = Policy()
critics = [mlp(observation_dim + action_dim, 1, 2) for _ in range(2)]
targets = [copy.deepcopy(critic) for critic in critics]
policy_optimiser = torch.optim.Adam(policy.parameters(), lr=3e-4)
critic_optimisers = [torch.optim.Adam(critic.parameters(), lr=3e-4) for critic in critics]


def update():
    rows = np.random.randint(size, size=options.batch)
    observations, actions, rewards, next_observations, ends = (
        torch.as_tensor(data_[rows]) for data_ in arrays
    )
    with torch.no_grad():
        next_actions = policy(next_observations).sample()
        inputs = torch.cat([next_observations, next_actions], 1)
        target_q = torch.min(targets[0](inputs), targets[1](inputs)).squeeze(1)
        y = rewards + 0.99 * (1 - ends) * target_q
    inputs = torch.cat([observations, actions], 1)
    critic_losses = []
    for critic, optimiser in zip(critics, critic_optimisers, strict=True):
        loss = nn.functional.mse_loss(critic(inputs).squeeze(1), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        critic_losses.append(loss.item())
    distribution = policy(observations)
    with torch.no_grad():
        q = torch.min(critics[0](inputs), critics[1](inputs))
        at_mean = torch.cat([observations, distribution.mean], 1)
        v = torch.min(critics[0](at_mean), critics[1](at_mean))
        weights = torch.softmax((q - v).squeeze(1) / 0.5, 0) * options.batch
    loss = -(weights * distribution.log_prob(actions).sum(1)).mean()
    policy_optimiser.zero_grad()
    loss.backward()
    policy_optimiser.step()
    for critic, target in zip(critics, targets, strict=True):
        for fast, slow in zip(critic.parameters(), target.parameters(), strict=True):
            slow.data.copy_(0.005 * fast.data + 0.995 * slow.data)
    return loss.item(), *critic_losses


arrays = [data[name] for name in ("observations", "actions", "rewards", "next_observations", "ends")]
serve(update)
