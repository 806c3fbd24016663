"""The algorithms by name. Some are one learner with other settings: a preset of the same name says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from awaccli.config.resolve import did_you_mean, load_preset, preset_names
from awaccli.errors import UsageError

if TYPE_CHECKING:
    from awaccli.config.tree import Settings

ALGORITHMS = {
    "awac": "awac",
    "bc": "bc",
    "filtered-bc": "bc",
    "sac": "sac",
    "sacfd-prior": "sac",
    "sacfd-pretrain": "sac",
    "sac-bc": "sac",
    "brac": "brac",
    "bear": "bear",
    "bcq": "bcq",
    "td3bc": "td3bc",
    "rlpd": "rlpd",
    "cql": "cql",
    "cal-ql": "cql",
    "iql": "iql",
    "awr": "awr",
    "mpo": "mpo",
    "abm": "abm",
    "dapg": "dapg",
}
"""Section of the settings that each algorithm's learner reads."""


def section_of(algo: str) -> str:
    """Return the section of the settings that an algorithm reads.

    Raises:
        UsageError: no algorithm of that name.
    """
    if algo not in ALGORITHMS:
        raise UsageError(f"there is no algorithm `{algo}`", hint=did_you_mean(algo, list(ALGORITHMS)))
    return ALGORITHMS[algo]


def with_fields(settings: Settings, algo: str, fields: Mapping[str, Any]) -> Settings:
    """Return settings in which the algorithm's section has these values, where it has such fields."""
    section = getattr(settings, section_of(algo))
    known = {name: value for name, value in fields.items() if name in type(section).model_fields}
    return settings.model_copy(update={section_of(algo): section.model_copy(update=known)})


def default_preset(algo: str, reward_kind: str) -> str:
    """Return the preset that an algorithm starts from for a kind of reward, where none is named.

    Systems that AWAC is compared with have presets of their own on top of the published recipe.
    """
    if reward_kind != "binary":
        return "paper-gym"
    return "modern" if algo in ("awac", "bc") else "released-hand"


def own_preset(algo: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the preset of an algorithm's own name, if there is one, as (origin, tree)."""
    return [(f"preset {algo}", load_preset(algo))] if algo in preset_names() else []


def inherited_settings(
    algo: str, before: str, section: Mapping[str, Any]
) -> list[tuple[str, dict[str, Any]]]:
    """Return what `finetune` starts from beneath presets and flags, as (origin, tree), the weaker first.

    Args:
        algo: who goes on.
        before: the algorithm of the checkpoint; from another's only the networks are taken.
        section: settings of that algorithm.
    """
    kept = section if algo == before else {"network": section["network"]}
    return [*own_preset(algo), ("the checkpoint", {section_of(algo): kept})]


def flags_of(algo: str, **values: Any) -> dict[str, Any]:
    """Return flags of the algorithm's section by dotted name; ``None`` is one that was not given.

    Raises:
        UsageError: one was given that the algorithm has no setting for.
    """
    from awaccli.config.tree import Settings

    section = section_of(algo)
    fields = type(getattr(Settings(), section)).model_fields
    for name, value in values.items():
        if value is not None and name not in fields:
            flag = name.replace("_", "-")
            raise UsageError(f"{algo} has no --{flag}", hint="`awac config show` lists all settings")
    return {f"{section}.{name}": value for name, value in values.items() if name in fields}
