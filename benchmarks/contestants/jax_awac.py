"""The same update in JAX: one jitted function, data and parameters on its device, sampling inside."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
from serve import arguments, serve

options = arguments()
data = {name: jnp.asarray(array) for name, array in np.load(options.data).items() if name != "last"}
size, observation_dim = data["observations"].shape
action_dim = data["actions"].shape[1]


def network(rng, inputs, outputs, layers, copies=None):
    widths = [inputs] + [options.width] * layers + [outputs]
    lead = () if copies is None else (copies,)
    return [
        (
            jnp.asarray(rng.uniform(-(i**-0.5), i**-0.5, (*lead, i, o)), jnp.float32),
            jnp.zeros((*lead, 1, o), jnp.float32),
        )
        for i, o in itertools.pairwise(widths)
    ]


def forward(layers, x):
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def critic_values(critic, observations, actions):
    return forward(critic, jnp.concatenate([observations, actions], 1)[None])[..., 0]


def losses(params, target, batch, noise):
    std = jnp.exp(params["log_std"])
    next_mean = jnp.tanh(forward(params["policy"], batch["next_observations"]))
    next_actions = jnp.clip(next_mean + std * noise, -1, 1)
    next_q = critic_values(target, batch["next_observations"], next_actions).min(0)
    y = jax.lax.stop_gradient(batch["rewards"] + 0.99 * (1 - batch["ends"]) * next_q)
    q = critic_values(params["critic"], batch["observations"], batch["actions"])
    mean = jnp.tanh(forward(params["policy"], batch["observations"]))
    frozen = jax.lax.stop_gradient(params["critic"])
    v = critic_values(frozen, batch["observations"], jax.lax.stop_gradient(mean)).min(0)
    weights = jax.lax.stop_gradient(jax.nn.softmax((q.min(0) - v) / 0.5) * options.batch)
    log_prob = -0.5 * (((batch["actions"] - mean) / std) ** 2).sum(1) - params["log_std"].sum()
    return ((q - y) ** 2).mean(1).sum() - (weights * log_prob).mean()


@functools.partial(jax.jit, donate_argnums=(0,))
def step(state):
    params, target, first, second, count, key = state
    key, rows_key, noise_key = jax.random.split(key, 3)
    rows = jax.random.randint(rows_key, (options.batch,), 0, size)
    batch = {name: array[rows] for name, array in data.items()}
    noise = jax.random.normal(noise_key, (options.batch, action_dim))
    gradient = jax.grad(losses)(params, target, batch, noise)
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda m, g: 0.999 * m + 0.001 * g * g, second, gradient)
    rate = 3e-4 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    params = jax.tree.map(lambda p, m, s: p - rate * m / (jnp.sqrt(s) + 1e-8), params, first, second)
    target = jax.tree.map(lambda t, p: 0.995 * t + 0.005 * p, target, params["critic"])
    return params, target, first, second, count, key


rng = np.random.default_rng(0)
params = {
    "policy": network(rng, observation_dim, action_dim, options.policy_layers),
    "critic": network(rng, observation_dim + action_dim, 1, 2, copies=2),
    "log_std": jnp.full((action_dim,), -3.0),
}
zeros = jax.tree.map(jnp.zeros_like, params)
state = (
    params,
    jax.tree.map(jnp.copy, params["critic"]),
    zeros,
    jax.tree.map(jnp.copy, zeros),
    0.0,
    jax.random.key(0),
)


def update():
    global state
    state = step(state)


serve(update, lambda: jax.block_until_ready(state))
