"""What a foreign file holds, found by going through it once before anything is written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from awaccli.data.evaluation import SuccessRates, wilson
from awaccli.data.formats import ForeignEpisode
from awaccli.episode import EndReason, Episode
from awaccli.stages.import_episode import is_binary, states_of, storable, vector_parts


@dataclass(slots=True)
class Survey:
    """Counts over all recordings of a file."""

    horizon: int | None
    held_steps: int
    lengths: list[int] = field(default_factory=list)
    """Of the episodes that are kept, in steps."""
    too_short: int = 0
    """Recordings without a single complete transition."""
    without_last: int = 0
    """Recordings without an observation after the last action."""
    lost_terminations: int = 0
    """Of these, those that the task had ended."""
    unknown_ends: int = 0
    without_seed: int = 0
    repeated: int = 0
    """Episodes with the same observations and actions as an earlier one."""
    clipped: int = 0
    clipped_episodes: int = 0
    action_low: np.ndarray | None = None
    """Smallest recorded action, float64 [A]."""
    action_high: np.ndarray | None = None
    reward_low: float = np.inf
    """Smallest recorded reward."""
    reward_high: float = -np.inf
    binary: bool = True
    """All recorded rewards are 0 or -1."""
    rewarded: int = 0
    """Recordings with rewards."""
    judged: int = 0
    """Recordings that say themselves what succeeded."""
    rewards_agree: bool = True
    """Recorded rewards are those that the rules give."""
    wide: set[str] = field(default_factory=set)
    """What is recorded in float64."""
    infos: dict[str, int] = field(default_factory=dict)
    """How many recordings have each further column in a form that can be stored."""
    sim: dict[str, int] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    """Parts of observations, and columns, that cannot be stored."""
    splits: dict[str, list[int]] = field(default_factory=dict)
    _any: list[tuple[bool, bool]] = field(default_factory=list)
    """Within the horizon and at full length; so are the next two."""
    _final: list[tuple[bool, bool]] = field(default_factory=list)
    _held: list[tuple[bool, bool]] = field(default_factory=list)
    _seen: set[bytes] = field(default_factory=set)

    def add(self, recording: ForeignEpisode, episode: Episode | None, parts: tuple[str, ...] | None) -> None:
        """Count a recording, and the episode that the rules make of it."""
        self._look(recording, parts)
        if episode is None:
            self.too_short += 1
            return
        for name in recording.splits:
            self.splits.setdefault(name, []).append(len(self.lengths))
        steps = len(episode)
        self.lengths.append(steps)
        complete = steps == len(recording.actions)
        self.without_last += not complete
        self.lost_terminations += bool(recording.terminated) and not complete
        self.unknown_ends += episode.end_reason is EndReason.UNKNOWN
        self.without_seed += episode.seed is None
        self.clipped += episode.clipped
        self.clipped_episodes += episode.clipped > 0
        self._compare_rewards(recording, episode)
        self._judge(episode.success)
        digest = hashlib.sha256(episode.observations.tobytes() + episode.actions.tobytes()).digest()
        self.repeated += digest in self._seen
        self._seen.add(digest)

    def _look(self, recording: ForeignEpisode, parts: tuple[str, ...] | None) -> None:
        actions = recording.actions.reshape(len(recording.actions), -1).astype(np.float64)
        if len(actions):
            low, high = actions.min(axis=0), actions.max(axis=0)
            self.action_low = low if self.action_low is None else np.minimum(self.action_low, low)
            self.action_high = high if self.action_high is None else np.maximum(self.action_high, high)
        self._look_at_columns(recording, parts)

    def _look_at_columns(self, recording: ForeignEpisode, parts: tuple[str, ...] | None) -> None:
        observations = recording.observations
        arrays = {"actions": recording.actions}
        if isinstance(observations, Mapping):
            arrays |= {f"observation {key}": observations[key] for key in parts or ()}
            vectors = vector_parts(observations) or ()
            self.left_out |= {f"observation {key}" for key in observations if key not in vectors}
        else:
            arrays["observations"] = observations
        self.wide |= {name for name, array in arrays.items() if array.dtype.itemsize > 4}
        for name, column in recording.infos.items():
            if storable(name, column, len(recording.actions)):
                self.infos[name] = self.infos.get(name, 0) + 1
            else:
                self.left_out.add(name)
        states = states_of(recording)
        self.left_out |= {f"simulator state {name}" for name in recording.sim.keys() - states}
        for name in states:
            self.sim[name] = self.sim.get(name, 0) + 1

    def _compare_rewards(self, recording: ForeignEpisode, episode: Episode) -> None:
        self.judged += recording.success is not None
        if recording.rewards is None:
            return
        rewards = recording.rewards.reshape(-1)
        self.rewarded += 1
        self.reward_low = min(self.reward_low, float(rewards.min()))
        self.reward_high = max(self.reward_high, float(rewards.max()))
        self.binary = self.binary and is_binary(rewards)
        self.rewards_agree = self.rewards_agree and np.array_equal(rewards[: len(episode)], episode.rewards)

    def _judge(self, success: np.ndarray) -> None:
        within = success[: self.horizon]
        self._any.append((bool(within.any()), bool(success.any())))
        self._final.append((bool(within[-1]), bool(success[-1])))
        self._held.append((int(within.sum()) > self.held_steps, int(success.sum()) > self.held_steps))

    @property
    def n_episodes(self) -> int:
        """Episodes that are kept."""
        return len(self.lengths)

    @property
    def n_steps(self) -> int:
        """Steps of these."""
        return sum(self.lengths)

    @property
    def longer(self) -> list[int]:
        """Lengths of the episodes that are longer than the horizon."""
        return [length for length in self.lengths if self.horizon is not None and length > self.horizon]

    def everywhere(self, counts: Mapping[str, int]) -> frozenset[str]:
        """Return which of the columns every recording has."""
        return frozenset(name for name, count in counts.items() if count == self.n_episodes + self.too_short)

    def rates(self, *, full_length: bool) -> SuccessRates:
        """Return success rates, counting each episode's steps within the horizon, or all of them."""

        def rate(flags: list[tuple[bool, bool]]) -> int:
            return sum(pair[full_length] for pair in flags)

        count = self.n_episodes
        return SuccessRates(
            any=wilson(rate(self._any), count),
            final=wilson(rate(self._final), count),
            held=wilson(rate(self._held), count),
        )
