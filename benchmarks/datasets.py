"""Datasets against Minari and robomimic-style HDF5, the same episodes in one run: `make bench-data`.

The episodes are those of the relocate demonstrations, repeated with a little noise on the observations so
that they compress as recorded ones do. Peers are used as their documentation shows:

- Minari (HDF5 and Arrow storage): `create_dataset_from_buffers`, `MinariDataset`, `iterate_episodes`. It has
  no access to transitions but by episode: `next(iterate_episodes([i]))`, then a step.
- robomimic-style: the layout and the reader of robomimic's `SequenceDataset` at sequence length 1, without
  the package: a group per demonstration, uncompressed, observations and next observations; items looked up
  by demonstration and step and collated by `torch`. `cached` is its `hdf5_cache_mode="all"`.

awac checks every byte against its checksums when it opens a dataset; the others check nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import torch

from awaccli.artifacts.manifest import Recipe
from awaccli.data.buffer import ReplayBuffer
from awaccli.data.dataset import Dataset, open_dataset
from awaccli.data.derive import derive
from awaccli.episode import Episode
from awaccli.stages.draws import draws
from benchmarks.measure import Row, medians, table

DEMOS = Path(__file__).parents[1] / "datasets" / "relocate-demos.h5"
ROUNDS, BATCH = 5, 256
AWAC, AWAC_H5, MINARI, ARROW, ROBOMIMIC = "awac", "awac .h5", "Minari", "Minari (Arrow)", "robomimic-style"


def episodes_like_the_demonstrations(count: int) -> tuple[Dataset, list[Episode]]:
    """Return the demonstrations, and ``count`` episodes that resemble them."""
    demos, rng = open_dataset(DEMOS), np.random.default_rng(0)
    originals = list(demos)
    made = []
    for index in range(count):
        episode = originals[index % len(originals)]
        noise = rng.normal(scale=1e-3, size=episode.observations.shape).astype(np.float32)
        made.append(replace(episode, observations=episode.observations + noise, sim_init=None))
    return demos, made


# --- awac


def write_awac(path: Path, demos: Dataset, episodes: list[Episode]) -> None:
    _emptied(path)
    header = demos.header.model_copy(
        update={"fields": {k: v for k, v in demos.header.fields.items() if not k.startswith("episodes/sim")}}
    )
    derive(
        path, Recipe(stage="bench", version=1, settings={}, seed=0, inputs=()), header, episodes, parents=()
    )


def load_awac(path: Path) -> None:
    dataset = open_dataset(path)
    for name in ("observations", "actions", "rewards", "terminations", "truncations"):
        dataset.column(f"steps/{name}")
    dataset.column("final/observations")


def buffer_of(path: Path) -> ReplayBuffer:
    return ReplayBuffer(
        [open_dataset(path)], discount=0.99, n_step=1, reward_floor=-1.0, capacity=1, device="cpu"
    )


# --- Minari


def minari_writer(folder: Path, demos: Dataset, episodes: list[Episode], form: str) -> Callable[[], None]:
    import minari
    from gymnasium import spaces
    from minari.data_collector import EpisodeBuffer

    os.environ["MINARI_DATASETS_PATH"] = str(folder)
    task = demos.task
    box = spaces.Box(np.array(task.action_low, np.float32), np.array(task.action_high, np.float32))
    buffers = [
        EpisodeBuffer(
            observations=episode.observations,
            actions=episode.actions,
            rewards=list(episode.rewards),
            terminations=[False] * len(episode),
            truncations=[False] * (len(episode) - 1) + [True],
        )
        for episode in episodes
    ]

    def write() -> None:
        _emptied(folder / f"{form}-v0")
        with warnings.catch_warnings(action="ignore"):
            minari.create_dataset_from_buffers(
                f"{form}-v0",
                buffers,
                observation_space=spaces.Box(-np.inf, np.inf, (task.observation_dim,), np.float32),
                action_space=box,
                data_format=form,
            )

    return write


def load_minari(path: Path) -> None:
    from minari import MinariDataset

    found = list(MinariDataset(path / "data").iterate_episodes())
    for name in ("observations", "actions", "rewards", "terminations", "truncations"):
        np.concatenate([getattr(episode, name) for episode in found])


def iterate_minari(path: Path) -> None:
    from minari import MinariDataset

    for episode in MinariDataset(path / "data").iterate_episodes():
        episode.observations.sum()


def sample_minari(path: Path, count: int) -> Callable[[], None]:
    from minari import MinariDataset

    dataset, rng = MinariDataset(path / "data"), np.random.default_rng(0)

    def sample() -> None:
        items = []
        for index in rng.integers(dataset.total_episodes, size=count):
            episode = next(iter(dataset.iterate_episodes([index])))
            t = rng.integers(len(episode.actions))
            items.append(
                (episode.observations[t], episode.actions[t], episode.rewards[t], episode.observations[t + 1])
            )
        [torch.from_numpy(np.stack(field)) for field in zip(*items, strict=True)]

    return sample


# --- robomimic-style


def write_robomimic(path: Path, episodes: list[Episode]) -> None:
    _emptied(path)
    with h5py.File(path, "w") as file:
        data = file.create_group("data")
        for index, episode in enumerate(episodes):
            demo = data.create_group(f"demo_{index}")
            demo.attrs["num_samples"] = len(episode)
            demo.create_dataset("actions", data=episode.actions)
            demo.create_dataset("rewards", data=episode.rewards)
            demo.create_dataset("dones", data=np.arange(len(episode)) == len(episode) - 1)
            demo.create_dataset("obs/flat", data=episode.observations[:-1])
            demo.create_dataset("next_obs/flat", data=episode.observations[1:])


FIELDS = ("obs/flat", "actions", "rewards", "dones", "next_obs/flat")


def load_robomimic(path: Path) -> dict[str, dict[str, np.ndarray]]:
    with h5py.File(path) as file:
        return {name: {f: demo[f][()] for f in FIELDS} for name, demo in file["data"].items()}


def iterate_robomimic(path: Path) -> None:
    with h5py.File(path) as file:
        for demo in file["data"].values():
            arrays = {f: demo[f][()] for f in FIELDS}
            arrays["obs/flat"].sum()


def sample_robomimic(path: Path, count: int, *, cached: bool) -> Callable[[], None]:
    source = load_robomimic(path) if cached else h5py.File(path)["data"]
    index = [(name, t) for name in source for t in range(len(source[name]["actions"]))]
    rng = np.random.default_rng(0)

    def sample() -> None:
        items = []
        for i in rng.integers(len(index), size=count):
            name, t = index[i]
            items.append({f: source[name][f][t : t + 1] for f in FIELDS})
        torch.utils.data.default_collate(items)

    return sample


def _emptied(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _size_mb(path: Path) -> float:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files) / 1e6


def compare(count: int) -> list[Row]:
    """Measure everything on ``count`` episodes."""
    demos, episodes = episodes_like_the_demonstrations(count)
    steps = sum(map(len, episodes))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = {
            AWAC: folder / "a.zarr",
            AWAC_H5: folder / "a.h5",
            MINARI: folder / "hdf5-v0",
            ARROW: folder / "arrow-v0",
            ROBOMIMIC: folder / "r.hdf5",
        }
        writers = {
            AWAC: lambda: write_awac(paths[AWAC], demos, episodes),
            AWAC_H5: lambda: write_awac(paths[AWAC_H5], demos, episodes),
            MINARI: minari_writer(folder, demos, episodes, "hdf5"),
            ARROW: minari_writer(folder, demos, episodes, "arrow"),
            ROBOMIMIC: lambda: write_robomimic(paths[ROBOMIMIC], episodes),
        }
        written = medians(writers, rounds=3)
        loaded = medians(
            {
                AWAC: lambda: load_awac(paths[AWAC]),
                AWAC_H5: lambda: load_awac(paths[AWAC_H5]),
                MINARI: lambda: load_minari(paths[MINARI]),
                ARROW: lambda: load_minari(paths[ARROW]),
                ROBOMIMIC: lambda: load_robomimic(paths[ROBOMIMIC]),
            },
            rounds=ROUNDS,
        )
        iterated = medians(
            {
                AWAC: lambda: [e.observations.sum() for e in open_dataset(paths[AWAC])],
                AWAC_H5: lambda: [e.observations.sum() for e in open_dataset(paths[AWAC_H5])],
                MINARI: lambda: iterate_minari(paths[MINARI]),
                ARROW: lambda: iterate_minari(paths[ARROW]),
                ROBOMIMIC: lambda: iterate_robomimic(paths[ROBOMIMIC]),
            },
            rounds=ROUNDS,
        )
        buffer, source = buffer_of(paths[AWAC]), draws("cpu", 0)
        sampled = medians(
            {
                AWAC: lambda: buffer.sample(source, BATCH),
                MINARI: sample_minari(paths[MINARI], BATCH),
                ARROW: sample_minari(paths[ARROW], BATCH),
                ROBOMIMIC: sample_robomimic(paths[ROBOMIMIC], BATCH, cached=False),
                f"{ROBOMIMIC}, cached": sample_robomimic(paths[ROBOMIMIC], BATCH, cached=True),
            },
            rounds=ROUNDS,
        )
        sizes = {key: _size_mb(path) for key, path in paths.items()}
    return [
        Row("open and load into memory", loaded, "s"),
        Row("iterate over episodes", {k: count / s for k, s in iterated.items()}, "episodes/s"),
        Row(f"random transitions, batches of {BATCH}", {k: BATCH / s for k, s in sampled.items()}, "per s"),
        Row("write", {k: count / s for k, s in written.items()}, "episodes/s"),
        Row("size on disk", sizes, "MB", f"{steps} steps"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--episodes", type=int, default=500)
    torch.set_num_threads(1)
    count = parser.parse_args().episodes
    print(table(f"Datasets: {count} episodes of relocate, one thread, medians of {ROUNDS}", compare(count)))


if __name__ == "__main__":
    main()
