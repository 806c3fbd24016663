"""Built-in experts: policies that ship with the package, for making demonstrations."""

from __future__ import annotations

import hashlib
from pathlib import Path

from awaccli.config.task import TaskSpec
from awaccli.envs.hands import HANDS, find_hand
from awaccli.errors import UsageError

EXPERT_CREDITS = {
    "authors": "Rajeswaran, Kumar, Gupta, Vezzani, Schulman, Todorov, Levine",
    "licence": "Apache-2.0",
    "citation": "policies of hand_dapg: Learning Complex Dexterous Manipulation with Deep Reinforcement "
    "Learning and Demonstrations, RSS 2018",
}
"""Whose policies the experts were cloned from."""
_FOLDER = Path(__file__).parent / "experts"


def expert_policy(task: TaskSpec) -> Path:
    """Return the file of the task's built-in expert.

    Raises:
        UsageError: the task has none.
    """
    path = find_expert(task.env_id)
    if path is None:
        known = ", ".join(hand.name for hand in HANDS if find_expert(hand.env_id)) or "no task"
        raise UsageError(
            f"task `{task.name}` has no built-in expert ({known} has)",
            hint="pass --policy with a checkpoint, `random`, or your own `module:attribute`",
        )
    return path


def find_expert(env_id: str | None) -> Path | None:
    """Return the file of an environment's expert, or None."""
    hand = find_hand(env_id)
    path = _FOLDER / f"{hand.name}.safetensors" if hand else None
    return path if path and path.is_file() else None


def expert_id(path: Path) -> str:
    """Return the identity of an expert: the SHA-256 of its file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
