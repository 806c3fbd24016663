"""The online loop: rounds of collecting whole episodes with the frozen policy, then updating on all data.

The online dataset is the write-ahead log. Episodes are committed before anything is learned from them, so a
resumed run loads the last snapshot of the weights, replays the logged rounds past it, and goes on with the
environment. No committed episode is lost or collected twice, even where the environment is not deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.artifacts.commit import Target
from awaccli.artifacts.manifest import Recipe
from awaccli.artifacts.tensors import write_policy
from awaccli.config.settings import FinetuneSettings
from awaccli.config.task import TaskFacts
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import Header, Source
from awaccli.data.writer import Writer, commit_dataset
from awaccli.envs.acting import ActorSpec
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import describe
from awaccli.episode import Episode
from awaccli.errors import DatasetError
from awaccli.protocols import Reporter
from awaccli.seeding import stream
from awaccli.stages.evaluate import PeriodicEvaluation
from awaccli.stages.recording import Parents
from awaccli.stages.training import Training

_RECENT = 20
"""Episodes whose success is shown while a run goes on."""


@dataclass(slots=True)
class Log:
    """The online episodes of a run, in order: those on disk, and a way to get more."""

    episodes: list[Episode]
    writer: Writer | None
    """None: the dataset was committed before the run was killed; nothing is missing."""
    rollouts: Rollouts | None

    def add(self, episode: Episode) -> None:
        """Put an episode on disk (at the next flush) and in memory."""
        assert self.writer is not None
        self.writer.append(episode)
        self.episodes.append(episode)

    def flush(self) -> None:
        """Commit what was added."""
        if self.writer is not None:
            self.writer.flush()


@dataclass(slots=True)
class OnlineRounds:
    """Rounds from wherever the files say the run stands, to the last environment step."""

    training: Training
    checkpoint: Checkpoint
    facts: TaskFacts
    plan: FinetuneSettings
    target: Target
    """Where the checkpoint is being built."""
    log_target: Target
    """Where the online dataset is being built, or already stands."""
    learned: int = 0
    """How many episodes of the log the learner has."""

    @property
    def steps(self) -> int:
        """Environment steps of this run that the learner has."""
        return self.training.env_steps - self.checkpoint.content.env_steps

    @property
    def updates_due(self) -> int:
        """Updates in all that belong to these steps."""
        counted = max(0, self.steps - self.plan.warmup_steps)
        return self.checkpoint.content.updates + math.floor(self.plan.utd * counted)

    def run(self, recipe: Recipe, parents: Parents, evaluation: PeriodicEvaluation, report: Reporter) -> None:
        """Do all rounds and commit the online dataset, made by ``recipe`` from ``parents``.

        Raises:
            RunError: the environment, the policy or a loss failed; what was logged is kept.
            InterruptedRunError: a signal came; the run can be resumed.
        """
        with self._open_log() as log:
            self._catch_up(log)
            if self.steps == 0:
                evaluation.now(self.training)
            with report.phase("fine-tune", self.plan.env_steps, "steps") as progress:
                while True:
                    self.training.update_to(self.updates_due, self.target.scratch, evaluation, report)
                    progress.update(self.steps, **self.training.shown, **self._recent_success(log))
                    if self.steps >= self.plan.env_steps:
                        break
                    self._learn_from(self._next_round(log, report))
            if log.writer is not None:
                commit_dataset(
                    self.log_target, log.writer, recipe=recipe, parents=parents, clock=self.training.clock
                )

    def _recent_success(self, log: Log) -> dict[str, float]:
        """Return the share of the latest episodes that ended in success, for a progress display."""
        recent = log.episodes[max(0, self.learned - _RECENT) : self.learned]
        return {"online/success": sum(bool(e.success[-1]) for e in recent) / len(recent)} if recent else {}

    @contextmanager
    def _open_log(self) -> Iterator[Log]:
        if self.log_target.finished:
            yield Log(list(open_dataset(self.log_target.path)), writer=None, rollouts=None)
            return
        facts = describe(self.facts.spec)
        source = Source(
            kind="policy", name=self.checkpoint.path.name, id=self.checkpoint.id, actions="sample"
        )
        header = Header(task=facts, sources=(source,))
        execution = self.training.execution
        with (
            Writer(self.log_target.payload, header, resume=self.log_target.resuming) as writer,
            Rollouts(
                facts.spec,
                workers=execution.workers,
                sim_state="init",
                timeout_s=execution.episode_timeout_s,
            ) as rollouts,
        ):
            known = list(writer.dataset()) if writer.n_episodes else []
            yield Log(known, writer, rollouts)

    def _catch_up(self, log: Log) -> None:
        """Give the buffer the episodes that the snapshot's learner had."""
        if sum(map(len, log.episodes)) < self.steps:
            raise DatasetError(
                f"`{self.log_target.path}` has fewer steps than `{self.target.scratch}` has learned from",
                hint="its unfinished dataset was removed: start again with --overwrite",
            )
        steps = 0
        while steps < self.steps:
            steps += len(log.episodes[self.learned])
            self.learned += 1
        self.training.buffer.extend(log.episodes[: self.learned])

    def _next_round(self, log: Log, report: Reporter) -> Sequence[Episode]:
        """Return the next round: what the log has of it, and the rest from the environment."""
        end = self.learned + self.plan.episodes_per_round
        missing = end - len(log.episodes)
        budget = self.plan.env_steps - self.steps - sum(map(len, log.episodes[self.learned : end]))
        if missing > 0 and budget > 0:
            self._collect(log, missing, budget, report)
        return log.episodes[self.learned : end]

    def _collect(self, log: Log, count: int, budget: int, report: Reporter) -> None:
        """Add up to ``count`` episodes of the current policy, ``budget`` steps at most."""
        assert log.rollouts is not None
        start = self.checkpoint.content.env_steps
        policy = self.target.scratch / f"policy-{self.training.env_steps}.safetensors"
        write_policy(policy, self.training.policy())
        actor = ActorSpec(policy=f"file:{policy.absolute()}", actions="sample")
        retries = self._retries(log.episodes[: self.learned])
        jobs = [
            Job(index, self.training.seed, f"online-{start}", max_steps=budget, reset_seed=retries.get(index))
            for index in range(len(log.episodes), len(log.episodes) + count)
        ]
        try:
            for episode in log.rollouts.run([actor], jobs):
                log.add(episode if len(episode) <= budget else episode.cut(budget))
                budget -= len(log.episodes[-1])
                if report.interrupted():
                    log.flush()
                    self.training.stop_if_asked(report, self.target.scratch)
                if budget == 0:
                    break
        finally:
            policy.unlink()
        log.flush()

    def _retries(self, learned: Sequence[Episode]) -> dict[int, int]:
        """Return which episodes of the next round start where one failed, and the seeds of those resets."""
        if not self.plan.retry_failures:
            return {}
        solved = {episode.seed: bool(episode.success[-1]) for episode in learned if episode.seed is not None}
        seeds = [seed for seed, yes in solved.items() if not yes]
        rng = stream(self.training.seed, "retry", len(learned))
        drawn = rng.random(self.plan.episodes_per_round) < self.plan.retry_failures
        indices = len(learned) + np.flatnonzero(drawn)
        return dict(zip(indices.tolist(), rng.permutation(seeds).tolist(), strict=False))

    def _learn_from(self, episodes: Sequence[Episode]) -> None:
        self.training.buffer.extend(episodes)
        self.learned += len(episodes)
        self.training.env_steps += sum(map(len, episodes))
