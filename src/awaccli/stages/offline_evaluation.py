"""``awac eval --offline``: what can be said of a checkpoint on data alone, without a simulator.

Three numbers, none of which is a success rate: how likely the policy finds held-out actions, how far its
critics are from consistency on held-out transitions, and a fitted Q evaluation of the policy itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from awaccli.algorithms.fqe import FittedQ
from awaccli.algorithms.losses import reachable_values
from awaccli.algorithms.networks import Spaces, observation_scale
from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.config.algorithms import with_fields
from awaccli.config.section import NetworkSettings
from awaccli.config.settings import Execution
from awaccli.config.tree import Settings
from awaccli.data.buffer import Memory, ReplayBuffer, common_task
from awaccli.data.dataset import Dataset
from awaccli.data.memory import SHARES
from awaccli.data.offline_evaluation import Estimate, FittedValue, OfflineEvaluation
from awaccli.data.progress import watched
from awaccli.data.transitions import ActionScale
from awaccli.envs.acting import policy_from_weights
from awaccli.errors import DatasetError, InterruptedRunError
from awaccli.protocols import SILENT, Learner, Reporter
from awaccli.seeding import stream
from awaccli.stages.compute import memory_of, prepare
from awaccli.stages.draws import draws
from awaccli.stages.learners import build_buffer, build_learner, load_learner

_BATCH = 256
_BLOCK = 1024
_STARTING = 0.4
"""Share of the updates of fitted Q evaluation that regress on recorded returns."""
_RESAMPLES = 1000


def evaluate_offline(
    checkpoint: Checkpoint,
    data: Sequence[Dataset],
    *,
    fqe_updates: int = 5_000,
    seed: int = 0,
    execution: Execution | None = None,
    report: Reporter = SILENT,
) -> OfflineEvaluation:
    """Measure ``checkpoint`` on datasets that it should not have been trained on.

    Args:
        checkpoint: any.
        data: held-out datasets of its task.
        fqe_updates: gradient updates of fitted Q evaluation; 0 leaves it out.
        seed: of all streams.
        execution: how to run.
        report: whom to tell.

    Raises:
        DatasetError: data of another task or of other sizes.
        InterruptedRunError: a signal came.
    """
    execution = execution or Execution()
    device, memory = prepare(execution).device, memory_of(execution)
    _require_fit(checkpoint, data)
    content, settings = checkpoint.content, _settings_of(checkpoint)
    learner = build_learner(content.algo, settings, data, seed=seed, device=device)
    found = episode_diagnostics(
        load_learner(checkpoint, learner, content.algo, device),
        build_buffer(content.algo, settings, data, capacity=1, device=device, memory=memory),
        data,
        seed=seed,
        device=device,
        report=report,
    )
    known = {reference.id for reference in content.data}
    return OfflineEvaluation(
        checkpoint=checkpoint.id,
        data=tuple(dataset.id for dataset in data),
        algo=content.algo,
        updates=content.updates,
        env_steps=content.env_steps,
        seed=seed,
        episodes=sum(len(dataset) for dataset in data),
        steps=sum(dataset.n_steps for dataset in data),
        nll=_estimate(found["policy/nll"], seed),
        td_error=_estimate(found["q/td_error"], seed) if "q/td_error" in found else None,
        q_mean=_estimate(found["q/mean"], seed) if "q/mean" in found else None,
        fitted_q=_fitted_value(
            checkpoint, settings, data, memory, updates=fqe_updates, seed=seed, report=report
        )
        if fqe_updates
        else None,
        seen=any(dataset.id in known for dataset in data),
    )


def _require_fit(checkpoint: Checkpoint, data: Sequence[Dataset]) -> None:
    facts, content = common_task(data), checkpoint.content
    for name in ("observation_dim", "action_dim"):
        if getattr(facts, name) != getattr(content, name):
            raise DatasetError(
                f"`{data[0].path}` has {name} {getattr(facts, name)}, "
                f"`{checkpoint.path}` was trained with {getattr(content, name)}",
                hint="give data of the checkpoint's task",
            )


def _settings_of(checkpoint: Checkpoint) -> Settings:
    """Return the settings that a checkpoint was trained with, for measuring it."""
    sections = checkpoint.content.settings
    known = Settings.model_validate({k: v for k, v in sections.items() if k in Settings.model_fields})
    return on_td_targets(known, checkpoint.content.algo)


def on_td_targets(settings: Settings, algo: str) -> Settings:
    """Return settings of a learner that measures TD errors, also while training regresses on returns."""
    return with_fields(settings, algo, {"return_updates": 0})


def episode_diagnostics(
    learner: Learner,
    buffer: ReplayBuffer,
    data: Sequence[Dataset],
    *,
    seed: int,
    device: str,
    report: Reporter,
) -> dict[str, list[float]]:
    """Return the learner's diagnostics of every episode, by name.

    Args:
        learner: changes nothing of itself.
        buffer: holds ``data`` as its offline rows.
        data: datasets of the learner's task.
        seed: of the noise that diagnostics draw.
        device: where the learner lives.
        report: whom to tell.

    Raises:
        InterruptedRunError: a signal came.
    """
    lengths = np.concatenate([dataset.episodes.length for dataset in data])
    found: dict[str, list[float]] = {}
    first = 0
    with report.phase("measure held-out episodes", len(lengths), "episodes") as progress:
        for index, length in enumerate(lengths):
            _stop_if_asked(report)
            batch = buffer.gather(torch.arange(first, first + int(length), device=device))
            first += int(length)
            source = draws(device, seed, "offline-eval", index)
            shapes = learner.noise_shapes(int(length))
            noise = {name: source.normal(shape) for name, shape in shapes.items()}
            for name, value in learner.diagnose(batch, noise).items():
                if isinstance(value, float):
                    found.setdefault(name, []).append(value)
            progress.update(index + 1)
    return found


def _fitted_value(
    checkpoint: Checkpoint,
    settings: Settings,
    data: Sequence[Dataset],
    memory: Memory,
    *,
    updates: int,
    seed: int,
    report: Reporter,
) -> FittedValue:
    facts, discount = common_task(data), settings.awac.discount
    buffer = ReplayBuffer(
        data,
        discount=discount,
        n_step=1,
        reward_floor=facts.reward_range[0] if facts.reward_range else None,
        capacity=1,
        device="cpu",
        memory=memory,
    )
    scale = ActionScale.of(facts)
    policy = policy_from_weights(checkpoint.policy(), facts)

    def chosen(observations: torch.Tensor) -> torch.Tensor:
        acted = np.stack([policy.act(row, None) for row in observations.numpy()])
        return torch.from_numpy(scale.scaled(acted))

    known = _next_actions(buffer, chosen, memory, drawn=updates * _BATCH, report=report)
    model = FittedQ(
        _spaces(data, scale),
        NetworkSettings(layer_norm=True),
        bounds=reachable_values(facts.reward_range, discount) if facts.reward_range else None,
        seed=seed,
    )
    errors = []
    with report.phase("fitted Q evaluation", updates, "updates") as progress:
        for update in range(updates):
            _stop_if_asked(report)
            indices = draws("cpu", seed, "fitted-q", update).integers(buffer.n_offline, _BATCH)
            batch = buffer.gather(indices)
            if update < _STARTING * updates:
                model.start(batch)
            else:
                acted = chosen(batch.next_observations) if known is None else known[indices]
                errors.append(model.update(batch, acted))
            progress.update(update + 1)
    starts = np.concatenate(
        [dataset.episodes.start + offset for dataset, offset in zip(data, _offsets(data), strict=True)]
    )
    values, returns = [], []
    for some in torch.split(torch.from_numpy(starts), _BLOCK):
        first = buffer.gather(some)
        values += model.values(first.observations, chosen(first.observations)).tolist()
        returns += first.returns.tolist()
    last = torch.stack(errors[-max(1, updates // 10) :]).mean() / 2  # the loss is a sum over two critics
    return FittedValue(
        value=_estimate(values, seed),
        behaviour=_estimate(returns, seed),
        updates=updates,
        bellman_error=math.sqrt(float(last)),
    )


def _next_actions(
    buffer: ReplayBuffer,
    chosen: Callable[[torch.Tensor], torch.Tensor],
    memory: Memory,
    *,
    drawn: int,
    report: Reporter,
) -> torch.Tensor | None:
    """Return the policy's action after every transition, or None where it is less work to ask for each."""
    rows, size_bytes = buffer.n_offline, 4 * buffer.n_offline * buffer.task.action_dim
    if rows > drawn or size_bytes > memory.max_bytes // SHARES:
        return None
    blocks = torch.split(torch.arange(rows), _BLOCK)
    watcher = watched(blocks, report, "ask the policy", len(blocks), "blocks")
    return torch.cat([chosen(buffer.gather(block).next_observations) for block in watcher])


def _spaces(data: Sequence[Dataset], scale: ActionScale) -> Spaces:
    facts, seen = common_task(data), [dataset.statistics() for dataset in data]
    low, high = np.min([s.min for s in seen], axis=0), np.max([s.max for s in seen], axis=0)
    mean, std = np.mean([s.mean for s in seen], axis=0), np.max([s.std for s in seen], axis=0)
    normaliser = mean.astype(np.float32), observation_scale(mean, std, low, high)
    return Spaces(facts.observation_dim, scale.center, scale.half, normaliser)


def _offsets(data: Sequence[Dataset]) -> list[int]:
    """Return the row of the buffer at which each dataset begins."""
    steps = [dataset.n_steps for dataset in data]
    return [sum(steps[:index]) for index in range(len(steps))]


def _estimate(values: Sequence[float], seed: int) -> Estimate:
    """Return a mean over episodes with its percentile bootstrap interval (Efron 1979)."""
    sample = np.asarray(values, np.float64)
    rng = stream(seed, "bootstrap")
    means = np.array([sample[rng.integers(len(sample), size=len(sample))].mean() for _ in range(_RESAMPLES)])
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(mean=float(sample.mean()), low=float(low), high=float(high))


def _stop_if_asked(report: Reporter) -> None:
    if signal := report.interrupted():
        raise InterruptedRunError(signal, hint="an evaluation keeps nothing: repeat the command")
