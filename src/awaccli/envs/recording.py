"""One policy, one task, one seed: one Episode."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from awaccli import seeding
from awaccli.config.task import TaskSpec
from awaccli.envs.acting import Act, Actor, ActorSpec, load_actor
from awaccli.envs.replaying import replayed
from awaccli.envs.simulation import Simulation, Step
from awaccli.episode import NO_ARRAYS, EndReason, Episode
from awaccli.errors import AwacError, RunError

SimState = Literal["none", "init", "full"]

_ENDLESS = 1_000_000
_ACTORS_KEPT = 16
_LARGEST = float(np.finfo(np.float32).max)
_THEIRS = (Exception, SystemExit)
"""What foreign code may raise: an environment that calls `sys.exit` must not end the run as if done."""


@dataclass(frozen=True)
class Job:
    """One episode to roll out. All its randomness follows from (seed, phase, index), and ``reset_seed``."""

    index: int
    seed: int
    phase: str
    """What the episode is for, e.g. ``online``: phases never share randomness."""
    actor: int = 0
    """Who acts: index into the actors of the run, and the episode's source."""
    max_steps: int | None = None
    """Cut the episode after this many steps, or None."""
    reset_seed: int | None = None
    """Argument of the reset, to start where another episode did; None: one of this episode's own."""


@dataclass(frozen=True, kw_only=True)
class Replay(Job):
    """Recorded actions to execute again; ``seed`` is the argument of the reset, and nobody acts."""

    actions: np.ndarray
    """float32 [T, A]."""
    sim_init: np.ndarray | None = None
    """State of the simulator to start from, float64 [S]; None: from where the reset leads."""
    model: Mapping[str, np.ndarray] = field(default_factory=lambda: NO_ARRAYS)
    """Changes to the simulator's model that belong to that state."""


class Recorder:
    """Rolls out episodes of one task in this process."""

    def __init__(self, task: TaskSpec, sim_state: SimState) -> None:
        self._simulation = Simulation(task)
        self.facts = self._simulation.facts()
        self._sim_state = sim_state
        # Weights are read once: policy files are never changed in place.
        self._load = functools.lru_cache(_ACTORS_KEPT)(functools.partial(load_actor, facts=self.facts))

    def record(self, spec: ActorSpec, job: Job) -> Episode:
        """Roll out one episode.

        Raises:
            RunError: the environment or the policy failed, or gave what is not a number.
            DatasetError: a start state that is not the simulator's.
        """
        if isinstance(job, Replay):
            return replayed(self._simulation, job)
        return _Recording(self._simulation, self._load(spec), job, self._sim_state).run()

    def close(self) -> None:
        """Free the environment."""
        self._simulation.close()


class _Recording:
    """The episode that is being recorded."""

    def __init__(self, simulation: Simulation, actor: Actor, job: Job, sim_state: SimState) -> None:
        self._simulation = simulation
        self._actor = actor
        self._job = job
        self._state = simulation.state if sim_state != "none" else None
        self._full = sim_state == "full"
        own = seeding.integer(job.seed, job.phase, job.index, "env")
        self._seed = own if job.reset_seed is None else job.reset_seed
        self._observations: list[np.ndarray] = []
        self._steps: list[Step] = []
        self._positions: list[tuple[np.ndarray, np.ndarray]] = []
        self._where = f"task `{simulation.task.name}`, episode {job.index}"
        self._again = f"to see it again: env.reset(seed={self._seed}); earlier episodes are kept for --resume"

    def run(self) -> Episode:
        self._observe(self._reset())
        sim_init = self._state.read() if self._state else None
        model = self._state.read_model() if self._state else {}
        act = self._start()
        limit = self._job.max_steps or _ENDLESS
        while True:
            step = self._step(self._action(act))
            self._steps.append(step)
            self._observe(step.observation)
            if step.terminated or step.truncated or len(self._steps) >= limit:
                break
        if len(self._steps) >= _ENDLESS:
            raise RunError(
                f"{self._where} had no end after {_ENDLESS} steps",
                hint="""give the task a horizon: --env-kwargs '{"max_episode_steps": 200}'""",
            )
        return self._episode(sim_init, model)

    def _reset(self) -> np.ndarray:
        try:
            return self._simulation.reset(self._seed)
        except _THEIRS as error:
            raise self._env_failed(error) from error

    def _start(self) -> Act:
        try:
            return self._actor.start(
                seeding.stream(self._job.seed, self._job.phase, self._job.index, "actions")
            )
        except AwacError:
            raise
        except _THEIRS as error:
            raise self._policy_failed(f"raised {type(error).__name__}: {error}") from error

    def _step(self, action: np.ndarray) -> Step:
        try:
            step = self._simulation.step(action)
        except _THEIRS as error:
            raise self._env_failed(error) from error
        if not abs(step.reward) <= _LARGEST:  # NaN is not <= anything
            raise RunError(
                f"{self._where}, step {len(self._steps)}: the environment's reward is {step.reward}",
                hint=self._again,
            )
        return step

    def _observe(self, observation: np.ndarray) -> None:
        if len(observation) != self._simulation.observation_dim:
            raise RunError(
                f"{self._where}, step {len(self._observations)}: the environment's observation has "
                f"{len(observation)} numbers, its space has {self._simulation.observation_dim}",
                hint=self._again,
            )
        if not _finite(observation):
            raise RunError(
                f"{self._where}, step {len(self._observations)}: the environment's observation is not finite "
                f"in entries {np.flatnonzero(~np.isfinite(observation)).tolist()}",
                hint=self._again,
            )
        self._observations.append(observation)
        if self._full and self._state:
            self._positions.append(self._state.positions())

    def _action(self, act: Act) -> np.ndarray:
        try:
            action = np.asarray(act(self._observations[-1]))
        except _THEIRS as error:
            raise self._policy_failed(f"raised {type(error).__name__}: {error}") from error
        shape = self._simulation.low.shape
        if action.shape != shape or action.dtype.kind not in "fiu":
            raise self._policy_failed(f"gave {action.dtype} {list(action.shape)}")
        if not _finite(action):
            raise self._policy_failed(f"gave {action.tolist()}")
        return action

    def _env_failed(self, error: BaseException) -> RunError:
        return RunError(
            f"{self._where}, step {len(self._steps)}: the environment raised {type(error).__name__}: {error}",
            hint=self._again,
        )

    def _policy_failed(self, what: str) -> RunError:
        name = self._actor.spec.policy.removeprefix("file:")
        return RunError(
            f"policy `{name}` {what} ({self._where}, step {len(self._steps)})",
            hint=f"expected finite numbers, float32 [{len(self._simulation.low)}]",
        )

    def _episode(self, sim_init: np.ndarray | None, model: Mapping[str, np.ndarray]) -> Episode:
        last = self._steps[-1]
        stopped = not (last.terminated or last.truncated)
        return Episode(
            observations=np.array(self._observations),
            actions=np.array([step.action for step in self._steps]),
            rewards=np.array([step.reward for step in self._steps], np.float32),
            success=np.array([step.success for step in self._steps]),
            terminated=last.terminated,
            truncated=last.truncated or stopped,
            end_reason=_end_reason(last),
            seed=self._seed,
            source=self._job.actor,
            sim=self._sim(),
            sim_init=sim_init,
            model=model,
            clipped=sum(step.clipped for step in self._steps),
        )

    def _sim(self) -> dict[str, np.ndarray]:
        if not self._positions:
            return {}
        qpos, qvel = zip(*self._positions, strict=True)
        return {"qpos": np.array(qpos), "qvel": np.array(qvel)}


def _finite(vector: np.ndarray) -> bool:
    """Say whether all entries are finite: of a sum of squares it is seen at once, unless that overflows."""
    return math.isfinite(vector.dot(vector)) or bool(np.isfinite(vector).all())


def _end_reason(last: Step) -> EndReason:
    if last.terminated:
        return EndReason.TERMINATED
    return EndReason.TIME_LIMIT if last.truncated else EndReason.STOPPED
