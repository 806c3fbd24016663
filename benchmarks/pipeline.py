"""What the pipeline costs: rollouts beside bare stepping, the online loop, evaluation, start-up, memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from awaccli.artifacts.checkpoint import open_checkpoint
from awaccli.artifacts.tensors import write_policy
from awaccli.config.resolve import resolve
from awaccli.config.settings import CollectSettings, Execution
from awaccli.data.dataset import open_dataset
from awaccli.data.schema import Header, Source
from awaccli.data.writer import Writer
from awaccli.envs.acting import ActorSpec
from awaccli.envs.registry import resolve_task
from awaccli.envs.rollout import Job, Rollouts
from awaccli.envs.simulation import Simulation, describe
from awaccli.episode import Episode
from awaccli.stages.collect_demos import collect_demos
from awaccli.stages.evaluate import evaluate
from awaccli.stages.finding import find_training_data
from awaccli.stages.finetune import finetune
from awaccli.stages.learners import build_learner
from awaccli.stages.pretrain import pretrain
from awaccli.stages.training import Training
from benchmarks.datasets import episodes_like_the_demonstrations, write_awac
from benchmarks.measure import Row, medians, seconds, table

DEMOS = Path(__file__).parents[1] / "datasets" / "relocate-demos.h5"
HANDS = ("pen", "door", "relocate")
ROUNDS, EPISODES = 5, 40
AWAC = Path(sys.executable).with_name("awac")


def rollout_rows(folder: Path) -> Iterator[Row]:
    """Yield steps per second of rollouts, and of `env.step` alone in one process, times workers."""
    for name in HANDS:
        task = resolve_task(name)
        demos = collect_demos(task, CollectSettings(episodes=2, policy="random"), folder / f"{name}.zarr")
        clone = build_learner("bc", resolve(preset="released-hand").settings, [demos], seed=0, device="cpu")
        write_policy(folder / f"{name}.safetensors", clone.policy())
        actor = ActorSpec(f"file:{folder}/{name}.safetensors", "sample")
        bare = Simulation(task).env
        for workers in (1, 2):
            jobs = [Job(index, 0, "bench") for index in range(EPISODES * workers)]
            header = Header(task=describe(task), sources=(Source(kind="policy", name="clone"),))
            with (
                Rollouts(task, workers=workers, sim_state="init") as rollouts,
                Writer(folder / f"{name}-{workers}.zarr", header) as writer,
            ):
                episodes = list(rollouts.run([actor], jobs))
                steps = sum(map(len, episodes))
                found = medians(
                    {
                        "awac": lambda: record(writer, rollouts.run([actor], jobs)),  # noqa: B023 - called at once
                        "bare": lambda: step_bare(bare, episodes[:EPISODES]),  # noqa: B023
                    },
                    rounds=ROUNDS,
                )
            alone = sum(map(len, episodes[:EPISODES])) / found["bare"]
            rates = {"awac": steps / found["awac"], "bare env.step": workers * alone}
            share = rates["awac"] / rates["bare env.step"]
            title = f"rollouts of {name}, {workers} worker{'s' * (workers > 1)}"
            yield Row(title, rates, "steps/s", f"{share:.0%}")


def record(writer: Writer, episodes: Iterator[Episode]) -> None:
    """Write episodes as they come, as `bc-rollout` does."""
    for episode in episodes:
        writer.append(episode)


def step_bare(env: Any, episodes: list[Any]) -> None:
    """Execute recorded actions and do nothing else."""
    for episode in episodes:
        env.reset(seed=episode.seed)
        for action in episode.actions:
            env.step(action)


def finetune_row(folder: Path) -> Row:
    """Return the share of fine-tuning's time that is neither stepping nor updating."""
    spent = {"updates": 0.0, "stepping": 0.0}

    def timed(what: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            started = time.perf_counter()
            try:
                return work(*arguments)
            finally:
                spent[what] += time.perf_counter() - started

        return call

    run = Rollouts.run
    Training.update = timed("updates", Training.update)
    # Batches are drawn for many updates at once, outside of them.
    Training._draw = timed("updates", Training._draw)  # noqa: SLF001
    Rollouts.run = lambda *arguments: iter(timed("stepping", run(*arguments).__next__), None)
    settings = resolve(
        preset="released-hand",
        assignments=["pretrain.updates=10", "finetune.env_steps=3000", "finetune.batch_size=256"],
    ).settings
    start = pretrain([open_dataset(DEMOS)], settings, folder / "start.ckpt")
    data = find_training_data(start, [DEMOS], data_dir=None, added=[])
    spent["updates"] = 0.0
    total = seconds(lambda: finetune(start, data, settings, folder / "end.ckpt"))
    rest = 1 - (spent["updates"] + spent["stepping"]) / total
    return Row("fine-tuning: neither stepping nor updating", {"awac": rest}, "share", "relocate, 3000 steps")


def evaluation_row(folder: Path) -> Row:
    """Return the seconds of 100 episodes with one worker and with two."""
    settings = resolve().settings.evaluate
    start = open_checkpoint(folder / "start.ckpt")

    def took(workers: int) -> float:
        execution = Execution(workers=workers)
        return seconds(lambda: evaluate(start, settings, folder / f"{workers}.json", execution=execution))

    found = {"1 worker": took(1), "2 workers": took(2)}
    return Row("evaluation of 100 episodes of relocate", found, "s")


def start_up_row(folder: Path) -> Iterator[Row]:
    """Yield how long commands take that do next to nothing."""
    python = sys.executable
    train = [
        AWAC,
        "pretrain",
        "--data",
        DEMOS,
        "--updates",
        "1",
        "-q",
        "--overwrite",
        "-o",
        folder / "1.ckpt",
    ]
    commands = {
        "python -c pass": [python, "-c", "pass"],
        "import torch": [python, "-c", "import torch"],
        "awac --help": [AWAC, "--help"],
        "awac info": [AWAC, "info", DEMOS],
        "awac pretrain --updates 1": train,
    }
    works = {
        name: lambda command=command: subprocess.run(command, check=True, capture_output=True)
        for name, command in commands.items()
    }
    for name, value in medians(works, rounds=ROUNDS).items():
        yield Row(f"start-up: {name}", {"awac": value}, "s")


def memory_row(folder: Path) -> Row:
    """Return the memory that a million transitions take, as a multiple of their bytes."""
    script = """
import sys
from pathlib import Path
from benchmarks.pipeline import peak_bytes
from benchmarks.datasets import buffer_of
before = peak_bytes()
buffer = buffer_of(Path(sys.argv[1]))
print((peak_bytes() - before) / buffer.n_offline, 4 * (2 * 39 + 30 + 3))
"""
    path = folder / "large.zarr"
    write_awac(path, *episodes_like_the_demonstrations(5000))
    run = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
    used, bytes_ = map(float, run.stdout.split())
    values = {"awac": used, "their bytes": bytes_}
    return Row("memory of a million transitions", values, "MB", f"{used / bytes_:.2f} times their bytes")


def peak_bytes() -> int:
    """Return the most memory that this process has had so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> None:
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [*start_up_row(folder), *rollout_rows(folder), finetune_row(folder), evaluation_row(folder)]
        rows.append(memory_row(folder))
    print(table(f"Pipeline: one thread, medians of {ROUNDS}", rows))


if __name__ == "__main__":
    main()
