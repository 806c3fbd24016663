"""Speed as ratios measured side by side in one run: `make bench`. Medians, one thread, one process.

- rollouts: steps per second of `Rollouts` (policy and recording) over bare `env.step` with the same actions
- updates: share of an update's time that its matrix products alone need at the rate of one large product
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from awaccli.artifacts.tensors import write_policy
from awaccli.config.resolve import resolve
from awaccli.data.dataset import open_dataset
from awaccli.envs.acting import ActorSpec
from awaccli.envs.registry import resolve_task
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import Simulation
from awaccli.seeding import stream
from awaccli.stages.compute import to_tensors
from awaccli.stages.learners import build_buffer, build_learner

DEMOS = Path(__file__).parents[1] / "datasets" / "relocate-demos.h5"
REPEATS, EPISODES, UPDATES = 5, 5, 30


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def rollout_ratio() -> float:
    task = resolve_task("relocate")
    dataset = open_dataset(DEMOS)
    learner = build_learner("bc", resolve(preset="released-hand").settings, [dataset], seed=0, device="cpu")
    with tempfile.TemporaryDirectory() as folder, Rollouts(task, workers=1, sim_state="init") as rollouts:
        write_policy(Path(folder) / "policy.safetensors", learner.policy())
        actor = ActorSpec(f"file:{folder}/policy.safetensors", "sample")
        jobs = [Job(index, 0, "bench") for index in range(EPISODES)]
        simulation = Simulation(task)
        bare = simulation._env  # noqa: SLF001 - the very environment, without anything of ours
        episodes = list(rollouts.run([actor], jobs))

        def step_bare() -> None:
            for episode in episodes:
                bare.reset(seed=episode.seed)
                for action in episode.actions:
                    bare.step(action)

        pairs = [
            (seconds(step_bare), seconds(lambda: list(rollouts.run([actor], jobs)))) for _ in range(REPEATS)
        ]
    return statistics.median(plain / ours for plain, ours in pairs)


def update_share(batch_size: int) -> tuple[float, float]:
    """Return updates per second, and the share that matrix products would need."""
    settings = resolve(preset="released-hand").settings
    dataset = open_dataset(DEMOS)
    learner = build_learner("awac", settings, [dataset], seed=0, device="cpu")
    buffer = build_buffer("awac", settings, [dataset], capacity=1, device="cpu")

    def update() -> None:
        for k in range(UPDATES):
            rng = stream(0, "bench", k)
            shapes = learner.noise_shapes(batch_size)
            noise = {name: rng.standard_normal(shape, dtype=np.float32) for name, shape in shapes.items()}
            learner.update(buffer.sample(rng, batch_size), to_tensors(noise, "cpu"))

    a, b = torch.ones(1024, 256), torch.ones(256, 256)

    def multiply() -> None:
        for _ in range(200):
            a @ b

    update()
    pairs = [(seconds(update) / UPDATES, seconds(multiply) / 200) for _ in range(REPEATS)]
    per_product = 2 * 1024 * 256 * 256
    shares = [products(batch_size) / per_product * product / ours for ours, product in pairs]
    return 1 / statistics.median(ours for ours, _ in pairs), statistics.median(shares)


def products(batch: int, observation: int = 39, action: int = 30, hidden: int = 256) -> float:
    """Return the floating-point operations of one update's matrix products, `released-hand` networks."""
    critic = 2 * 2 * batch * ((observation + action) * hidden + hidden * hidden + hidden)
    policy = 2 * batch * (observation * hidden + hidden * hidden + hidden * action)
    forward_only = critic + critic + policy  # target, V(s), a'
    return 3 * critic + 3 * policy + forward_only


def main() -> None:
    torch.set_num_threads(1)
    print("one thread, one process, medians of", REPEATS, "repeats")
    print(f"rollouts / bare env.step    {rollout_ratio():.2f}")
    for batch_size in (256, 1024):
        rate, share = update_share(batch_size)
        print(f"updates, batch {batch_size:4d}  {rate:.0f}/s, {share:.0%} of it matrix products")


if __name__ == "__main__":
    main()
