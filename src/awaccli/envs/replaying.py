"""Executing recorded actions once more: what the simulator makes of them now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from awaccli.envs.simulation import Simulation
from awaccli.episode import Episode
from awaccli.errors import AwacError, DatasetError, RunError

if TYPE_CHECKING:
    from awaccli.envs.recording import Replay

TERMINATIONS = "terminations"
"""Entry of the episode's infos, bool [T]: the task would have ended it after the action."""


def replayed(simulation: Simulation, job: Replay) -> Episode:
    """Execute all actions of ``job``, whether the task ends the episode on the way or not.

    Where it starts from a stored state, the first observation is that of the reset before, and means nothing.

    Raises:
        RunError: the environment failed.
        DatasetError: the start state is not one of this simulator.
    """
    try:
        return _run(simulation, job)
    except AwacError:
        raise
    except (Exception, SystemExit) as error:
        raise RunError(
            f"task `{simulation.task.name}`, episode {job.index}: the environment raised "
            f"{type(error).__name__}: {error}",
            hint="it cannot be replayed here; --episodes leaves it out",
        ) from error


def _run(simulation: Simulation, job: Replay) -> Episode:
    start = simulation.reset(job.seed)
    if job.sim_init is not None:
        if simulation.state is None:
            raise DatasetError(
                f"task `{simulation.task.name}` has no MuJoCo simulator here to put into the stored states",
                hint="try --mode seed",
            )
        simulation.state.restore(job.sim_init, job.model)
    steps = [simulation.step(action) for action in job.actions]
    observations = [start, *(step.observation for step in steps)]
    sizes = {len(observation) for observation in observations}
    if sizes != {simulation.observation_dim}:
        raise RunError(
            f"task `{simulation.task.name}`, episode {job.index}: the environment's observations have "
            f"{sorted(sizes)} numbers, its space has {simulation.observation_dim}",
            hint="nothing can be compared with them: the environment is broken",
        )
    with np.errstate(over="ignore"):  # an infinite reward is a finding, not a failure
        rewards = np.array([step.reward for step in steps], np.float32)
    return Episode(
        observations=np.array(observations),
        actions=job.actions,
        rewards=rewards,
        success=np.array([step.success for step in steps]),
        terminated=steps[-1].terminated,
        truncated=True,
        seed=job.seed,
        infos={TERMINATIONS: np.array([step.terminated for step in steps])},
    )
