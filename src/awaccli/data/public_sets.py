"""Public datasets that `awac data download` knows: where they are, and whom to thank.

Sizes and hashes are pinned where somebody here has seen the file, and None elsewhere: none is made up.
"""

from __future__ import annotations

from dataclasses import dataclass

from awaccli.data.schema import Credits, Source

# Repository aravindr93/hand_dapg, folder dapg/demonstrations; Apache License 2.0.
_DAPG = "https://raw.githubusercontent.com/aravindr93/hand_dapg/master/dapg/demonstrations"
# DATASET_URLS of D4RL's Adroit v1 environments (d4rl/infos.py, and the copies of it in WiseRL and
# d4rl-minari-dataset-generation), by HTTPS as other readers of these files use it.
_D4RL = "https://rail.eecs.berkeley.edu/datasets/offline_rl/hand_dapg_v1"
# Minari's remote hf://farama-minari (docstring of `minari.download_dataset`); the Hub serves what it shows at
# huggingface.co/datasets/farama-minari/D4RL/tree/main/pen/human-v2 below `resolve/main`.
_MINARI = "https://huggingface.co/datasets/farama-minari/D4RL/resolve/main"

_HUMANS = Source(kind="human", name="operators with a glove in virtual reality (DAPG)")
_DAPG_CREDITS = Credits(
    authors="Rajeswaran, Kumar, Gupta, Vezzani, Schulman, Todorov, Levine",
    licence="Apache-2.0",
    citation="Learning Complex Dexterous Manipulation with Deep Reinforcement Learning and Demonstrations, "
    "RSS 2018",
)
_D4RL_CREDITS = Credits(
    authors="Fu, Kumar, Nachum, Tucker, Levine",
    licence="CC-BY-4.0",
    citation="D4RL: Datasets for Deep Data-Driven Reinforcement Learning, arXiv:2004.07219; "
    "demonstrations and experts of DAPG, RSS 2018",
)
_TASKS = ("pen", "door", "relocate", "hammer")
_KINDS = {
    "human": "25 human demonstrations",
    "cloned": "demonstrations and rollouts of their clone, half and half",
    "expert": "rollouts of an expert policy",
}


@dataclass(frozen=True, slots=True)
class PublicFile:
    """One file of a public dataset."""

    name: str
    """Where it goes, below the dataset's folder."""
    url: str
    size_bytes: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class PublicSet:
    """A public dataset."""

    name: str
    about: str
    format: str
    """To import it with."""
    task: str
    files: tuple[PublicFile, ...]
    credits: Credits
    source: Source | None = None
    """Who acted, where that is one person or policy."""


def _dapg(task: str) -> PublicSet:
    name = f"{task}-v0_demos.pickle"
    pins = {"door": (3682022, "d6ec9a090261f901e5c9bf10082799e30c8d34c3f28aef4026e492a1aefc96c3")}
    size_bytes, sha256 = pins.get(task, (None, None))
    return PublicSet(
        name=f"dapg-{task}",
        about=f"{_KINDS['human']} of {task}, as DAPG and AWAC used them",
        format="dapg",
        task=task,
        files=(PublicFile(name, f"{_DAPG}/{name}", size_bytes, sha256),),
        credits=_DAPG_CREDITS,
        source=_HUMANS,
    )


def _d4rl(task: str, kind: str) -> PublicSet:
    name = f"{task}-{kind}-v1.hdf5"
    return PublicSet(
        name=f"d4rl-{task}-{kind}-v1",
        about=f"{task}: {_KINDS[kind]}, as D4RL published them",
        format="d4rl",
        task=task,
        files=(PublicFile(name, f"{_D4RL}/{name}"),),
        credits=_D4RL_CREDITS,
    )


def _minari(task: str, kind: str) -> PublicSet:
    names = ("data/metadata.json", "data/main_data.hdf5")
    return PublicSet(
        name=f"minari-{task}-{kind}-v2",
        about=f"{task}: {_KINDS[kind]}, replayed in gymnasium-robotics by Minari",
        format="minari",
        task=task,
        files=tuple(PublicFile(name, f"{_MINARI}/{task}/{kind}-v2/{name}") for name in names),
        credits=_D4RL_CREDITS,
    )


PUBLIC_SETS: dict[str, PublicSet] = {
    found.name: found
    for found in (
        *(_dapg(task) for task in _TASKS),
        *(_d4rl(task, kind) for task in _TASKS for kind in _KINDS),
        *(_minari(task, kind) for task in _TASKS for kind in _KINDS),
    )
}
"""By name."""


def public_set_with(sha256: str) -> PublicSet | None:
    """Return the set that a file of this hash is, alone; None where no pinned hash says so."""
    return next(
        (found for found in PUBLIC_SETS.values() if [file.sha256 for file in found.files] == [sha256]), None
    )
