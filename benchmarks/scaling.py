"""Curves: updates over batch and width, loading over transitions, rollouts over workers.

`python -m benchmarks.scaling -o docs/scaling.svg` prints tables and draws them; ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from matplotlib.figure import Figure

from awaccli.config.settings import CollectSettings, Execution
from awaccli.envs.registry import resolve_task
from awaccli.reports.figures import COLOURS, LINES, MARKERS, save, styled
from awaccli.stages.collect_demos import collect_demos
from benchmarks.datasets import episodes_like_the_demonstrations, write_awac
from benchmarks.measure import Row, seconds, table
from benchmarks.updates import PRODUCT, Contestant, products, rates

BATCHES, WIDTHS = (128, 256, 512, 1024, 2048, 4096, 8192), (64, 128, 256, 512, 1024)
TRANSITIONS, WORKERS, EPISODES = (10**4, 10**5, 10**6, 10**7), (1, 2, 3, 4), 300
Curve = dict[float, dict[str, float]]


def update_curve(data: Path, option: str, values: tuple[int, ...]) -> Curve:
    """Return updates per second for each value of an option, and the limit of the matrix products."""
    curve: Curve = {}
    core = {min(os.sched_getaffinity(0))}
    for value in values:
        with (
            Contestant("awac.py", data, 1, core, option, str(value)) as ours,
            Contestant("products.py", data, 1, core, "--precision", "oneDNN") as alone,
        ):
            found = rates({"awac": ours, "alone": alone})
        batch, width = (value, 256) if option == "--batch" else (1024, value)
        work = products(batch, 39, 30, layers=2, width=width)
        curve[value] = {"awac": found["awac"], "limit": found["alone"] * PRODUCT / work}
    return curve


def load_curve(folder: Path) -> Curve:
    """Return seconds and memory of loading generated datasets into a replay buffer."""
    script = """
import sys, time
from pathlib import Path
from benchmarks.datasets import buffer_of
from benchmarks.pipeline import peak_bytes
before, started = peak_bytes(), time.perf_counter()
buffer = buffer_of(Path(sys.argv[1]))
took, used = time.perf_counter() - started, peak_bytes() - before
print(took, used / 1e6, 4 * (2 * 39 + 30 + 3) * buffer.n_offline / 1e6)
"""
    curve: Curve = {}
    for count in TRANSITIONS:
        path = folder / f"{count}.zarr"
        write_awac(path, *episodes_like_the_demonstrations(count // 200))
        run = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
        curve[count] = dict(zip(("seconds", "MB", "their MB"), map(float, run.stdout.split()), strict=True))
    return curve


def rollout_curve(folder: Path) -> Curve:
    """Return steps per second of recording for each number of workers, starting them included."""
    task, settings = resolve_task("relocate"), CollectSettings(policy="random", episodes=EPISODES)
    curve: Curve = {}
    for workers in WORKERS:
        out, execution = folder / f"workers-{workers}.zarr", Execution(workers=workers)
        took = seconds(lambda: collect_demos(task, settings, out, execution=execution))  # noqa: B023
        curve[workers] = {"awac": EPISODES * 200 / took}
    return curve


def draw(curves: dict[str, Curve], target: Path) -> None:
    """Draw all curves, the limits with them."""
    with styled():
        figure = Figure(figsize=(9, 6), layout="constrained")
        for index, (title, curve) in enumerate(curves.items()):
            axes = figure.add_subplot(2, 2, index + 1)
            for name, *style in zip(next(iter(curve.values())), COLOURS, LINES, MARKERS, strict=False):
                values = [point[name] for point in curve.values()]
                colour, line, marker = style
                axes.plot(list(curve), values, color=colour, linestyle=line, marker=marker, label=name)
            if index < 3:
                axes.set(xscale="log", yscale="log")
                axes.yaxis.set_major_formatter("{x:g}")
            else:
                axes.set_ylim(bottom=0)
            axes.set_xticks(list(curve), [f"{value:g}" for value in curve])
            axes.tick_params("x", which="minor", bottom=False)
            axes.set_title(title)
            axes.legend()
        save(figure, target, overwrite=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=Path("scaling.svg"))
    target = parser.parse_args().output
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_awac(folder / "a.zarr", *episodes_like_the_demonstrations(500))
        curves = {
            "updates per second over batch": update_curve(folder / "a.zarr", "--batch", BATCHES),
            "updates per second over width": update_curve(folder / "a.zarr", "--width", WIDTHS),
            "loading over transitions": load_curve(folder),
            "steps per second over workers": rollout_curve(folder),
        }
    for title, curve in curves.items():
        print(table(title, [Row(f"{value:,}", point, "") for value, point in curve.items()]))
    draw(curves, target)


if __name__ == "__main__":
    main()
