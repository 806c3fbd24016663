"""Every flag that more than one command has, once; a setting's help, bounds and default are its model's."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import BaseModel, ValidationError

from awaccli.artifacts.cache import cache_folder
from awaccli.artifacts.urls import as_path
from awaccli.config.resolve import did_you_mean, field_help
from awaccli.config.settings import AwacSettings, Compilation, Execution, FinetuneSettings, Precision
from awaccli.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KkMGT])?(i)?B")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def setting(model: type[BaseModel], field: str, *flags: str) -> Any:
    """Return a Typer option for a setting: its help, bounds and default are the model's."""
    text = field_help(model, field)
    return typer.Option(*flags, help=text[0].upper() + text[1:], show_default=False)


Output = Annotated[
    Path | None, typer.Option("-o", "--output", help="What to make [default: a plain name in this folder].")
]
Seed = Annotated[
    int, typer.Option("--seed", min=0, metavar="<int>", help="Seed of every random stream, from 0.")
]
Config = Annotated[Path | None, typer.Option("--config", help="TOML file with settings.")]
Preset = Annotated[
    str | None,
    typer.Option("--preset", help="Named settings in place of the default ones; see `awac config presets`."),
]
Assign = Annotated[
    list[str],
    typer.Option(
        "--set", metavar="<name=value>", help="Any setting: section.name=value; see `awac config show`."
    ),
]
Workers = Annotated[
    str, typer.Option("--workers", help="Processes that step environments: a number, or auto.")
]
Threads = Annotated[str, typer.Option("--threads", help="Threads of gradient updates: a number, or auto.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda[:i].")]
Precise = Annotated[
    str,
    typer.Option(
        "--precision", help="Of matrix products in updates: float32, or bf16, twice as fast on some CPUs."
    ),
]
Compiled = Annotated[
    str,
    typer.Option("--compile", help="Compile updates: auto (where the run repays it), always or never."),
]
EvalEvery = Annotated[int, setting(Execution, "eval_every", "--eval-every")]
EvalEpisodes = Annotated[int, setting(Execution, "eval_episodes", "--eval-episodes")]
SaveEvery = Annotated[int, setting(Execution, "save_every", "--save-every")]
Log = Annotated[
    str | None, typer.Option("--log", help="Log for another tool too: tensorboard, in <stem>-tensorboard.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the output, in one step, at the end.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with an unfinished run, or start one.")]
IfChanged = Annotated[
    bool, typer.Option("--if-changed", help="Do nothing if the output has this recipe already; for Make.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything, print the plan, write nothing.")]
Parents = Annotated[Path | None, typer.Option("--parents", help="Folder to look for ancestors in, too.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="No progress, only warnings and errors.")]
Verbose = Annotated[
    bool, typer.Option("-v", "--verbose", help="More progress, log messages, and tracebacks of errors.")
]
TrustEnv = Annotated[
    bool,
    typer.Option(
        "--trust-env", help="Make the environment that the input names, though it may run code of its author."
    ),
]
EpisodeTimeout = Annotated[
    str,
    typer.Option(
        "--episode-timeout", help="Kill a worker whose episode takes longer, and stop; 0s: never (exit 5)."
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        help="What data may take, e.g. 8GiB [default: windows of 64 MiB, half of what is free for training].",
    ),
]
TimeLimit = Annotated[
    str | None, typer.Option("--time-limit", help="Save and stop after this long, e.g. 3h50m; exit 143.")
]
EnvKwargs = Annotated[
    str | None, typer.Option("--env-kwargs", help="JSON object with the environment's keyword arguments.")
]
Horizon = Annotated[int | None, typer.Option("--horizon", help="Steps after which an episode is cut.")]
ObsKeys = Annotated[
    str | None,
    typer.Option("--obs-keys", help="Keys of a Dict observation, e.g. observation,desired_goal."),
]
SuccessKey = Annotated[
    str | None,
    typer.Option("--success-key", help="Entry of `info` that says the goal is met [default: success]."),
]
Lam = Annotated[float | None, setting(AwacSettings, "lam", "--lam")]
Discount = Annotated[float | None, setting(AwacSettings, "discount", "--discount")]
NStep = Annotated[int | None, setting(AwacSettings, "n_step", "--n-step")]
OfflineRatio = Annotated[float | None, setting(FinetuneSettings, "offline_ratio", "--offline-ratio")]
Temperature = Annotated[float | None, typer.Option("--temperature", "--beta", hidden=True)]


def refuse_temperature(value: float | None) -> None:
    """Stop where another name for the temperature is used: in some papers it multiplies.

    Raises:
        UsageError: it was given.
    """
    if value is not None:
        raise UsageError(
            "awac calls it --lam, and it divides: weights are exp(advantage / lam)",
            hint="where yours multiplies (IQL, OGBench) use --lam 1/value; where it divides use --lam value",
        )


def execution(
    workers: str,
    threads: str,
    device: str = "cpu",
    *,
    episode_timeout: str,
    precision: str = "float32",
    compilation: str = "auto",
    trust_env: bool = False,
    max_memory: str | None = None,
    log: str | None = None,
    **monitoring: int,
) -> Execution:
    """Return how to run, with `auto` counted as the cores that this process may use.

    Raises:
        UsageError: a number is out of bounds.
    """
    counts = {"workers": _count("--workers", workers), "threads": _count("--threads", threads)}
    try:
        return Execution(
            **counts,
            **monitoring,
            device=device,
            precision=choice("--precision", precision, get_args(Precision)),
            compilation=choice("--compile", compilation, get_args(Compilation)),
            trust_env=trust_env,
            log=choice("--log", log, ("tensorboard",)),
            max_memory_bytes=memory_bytes(max_memory) or 0,
            cache=str(cache_folder() / "rows"),
            episode_timeout_s=seconds(episode_timeout, "--episode-timeout"),
        )
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise UsageError(
            f"--{name.replace('_', '-')} {first['input']}: {first['msg']}", hint=field_help(Execution, name)
        ) from error


def _count(flag: str, text: str) -> int:
    if text == "auto":
        return len(os.sched_getaffinity(0))
    if not text.isdigit() or int(text) < 1:
        raise UsageError(
            f"{flag} {text} is no count",
            hint="expected a number from 1, or auto: the cores this process may use",
        )
    return int(text)


def size_bytes(text: str, flag: str) -> int:
    """Return an amount of memory such as `8GiB` or `500MB` in bytes.

    Raises:
        UsageError: it is none; ``flag`` is where it was given.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(
            f"{flag} {text} is no amount of memory", hint="expected e.g. 8GiB, 500MB or 1000000B"
        )
    number, prefix, binary = match.groups()
    power = " KMGT".index(prefix.upper()) if prefix else 0
    return int(float(number) * (1024 if binary else 1000) ** power)


def memory_bytes(text: str | None) -> int | None:
    """Return the bytes of a `--max-memory`, if there is one."""
    return None if text is None else size_bytes(text, "--max-memory")


def time_limit_s(text: str | None) -> float | None:
    """Return the seconds of a `--time-limit`, if there is one."""
    return None if text is None else seconds(text, "--time-limit")


def seconds(text: str, flag: str) -> float:
    """Return a duration such as `3h50m` or `90s` in seconds.

    Raises:
        UsageError: it is none; ``flag`` is where it was given.
    """
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise UsageError(
            f"{flag} {text} is no duration", hint="expected hours, minutes, seconds: e.g. 3h50m or 90s"
        )
    hours, minutes, rest = (int(part or 0) for part in match.groups())
    return 3600.0 * hours + 60.0 * minutes + rest


def paths(values: Sequence[Path], what: str) -> list[Path]:
    """Return artifact paths, `-` replaced by the lines of stdin; URLs as such.

    Raises:
        UsageError: `-` with a terminal or nothing on stdin, or a URL that is not read.
    """
    found: list[Path] = []
    for value in values:
        found.extend(_stdin_paths(what) if str(value) == "-" else [as_path(value)])
    return found


def _stdin_paths(what: str) -> list[Path]:
    lines = [] if sys.stdin.isatty() else [line.strip() for line in sys.stdin]
    found = [as_path(line) for line in lines if line]
    if not found:
        raise UsageError(
            f"no {what} on stdin",
            hint="the command before the pipe failed or printed nothing (set -o pipefail)",
        )
    return found


def one_path(value: Path, what: str) -> Path:
    """Return a single artifact path, `-` replaced by stdin's one line."""
    found = paths([value], what)
    if len(found) > 1:
        raise UsageError(
            f"stdin names {len(found)} artifacts, expected one {what}",
            hint="name it as an argument instead of -",
        )
    return found[0]


def choice(flag: str, value: str | None, known: Sequence[str]) -> Any:
    """Check a value against a few words."""
    if value is not None and value not in known:
        raise UsageError(f"{flag} {value} is unknown", hint=did_you_mean(value, known))
    return value
