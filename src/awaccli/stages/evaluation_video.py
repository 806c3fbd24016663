"""``awac eval --video``: some of an evaluation's own episodes as a film, drawn by executing actions again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from awaccli.artifacts.checkpoint import Checkpoint
from awaccli.config.settings import EvaluateSettings, Execution
from awaccli.config.task import TaskSpec
from awaccli.envs.simulation import describe
from awaccli.episode import Episode
from awaccli.protocols import SILENT, Reporter
from awaccli.stages.drawing import Film, Scene, VideoSettings, draw, require_film, require_studio
from awaccli.stages.evaluate import roll_out, task_of


def evaluation_video(
    checkpoint: Checkpoint,
    settings: EvaluateSettings,
    out: Path,
    *,
    look: VideoSettings,
    episodes: Sequence[Episode] = (),
    task: TaskSpec | None = None,
    seed: int = 0,
    execution: Execution | None = None,
    overwrite: bool = False,
    report: Reporter = SILENT,
) -> Film:
    """Draw some episodes of an evaluation side by side into an MP4 or GIF file.

    Args:
        checkpoint: whose policy acted.
        settings: those of the evaluation.
        out: a ``.mp4`` (needs the extra ``video``) or ``.gif`` file.
        look: which episodes (where none are named: see `varied`), how fast, and how large.
        episodes: what `evaluate` handed to ``seen``; none: they are rolled out again.
        task: the evaluation's (default: the checkpoint's own).
        seed: the evaluation's.
        execution: how to roll out again, and whether to trust the environment of the checkpoint.
        overwrite: replace a file that is there.
        report: whom to tell.

    Raises:
        AwacError: a film that cannot be written, no OpenGL, an environment that fails or cannot be drawn.
        InterruptedRunError: a signal came; nothing is kept.
    """
    require_film(out, overwrite=overwrite)
    execution = execution or Execution()
    facts = describe(task_of(checkpoint, task, execution))
    if not episodes:
        report.note("the evaluation is there already: its episodes are rolled out again for the film")
        episodes = roll_out(checkpoint, settings, facts, seed=seed, execution=execution, report=report)
    first = varied([bool(episode.success[-1]) for episode in episodes], count=look.count)
    chosen = look.chosen(first, total=len(episodes), whose=f"the evaluation of {checkpoint.path}")
    scenes = [Scene(index, episodes[index], "seed") for index in chosen]
    return draw(facts, scenes, look, out, overwrite=overwrite, report=report)


def varied(success: Sequence[bool], *, count: int) -> list[int]:
    """Return the first ``count`` episodes, or fewer, the last replaced by the first that ended otherwise.

    It is replaced only where the first ``count`` all ended alike, and others did not. A single one stays.
    """
    chosen = list(range(min(count, len(success))))
    others = [index for index, ended in enumerate(success) if ended != success[0]]
    if len(chosen) > 1 and others and others[0] > chosen[-1]:
        chosen[-1] = others[0]
    return chosen


def require_drawable(
    checkpoint: Checkpoint, look: VideoSettings, *, task: TaskSpec | None, execution: Execution
) -> None:
    """Check that episodes of an evaluation could be drawn on this machine; for dry runs.

    Raises:
        AwacError: no simulator, no OpenGL, or an environment that cannot be drawn.
    """
    facts = describe(task_of(checkpoint, task, execution))
    require_studio(facts, look, episodes=look.count)
