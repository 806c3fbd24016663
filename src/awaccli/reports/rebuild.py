"""From a manifest to the shell commands that make its artifact again, from its roots; nothing is run here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path

from awaccli.artifacts.manifest import InputRef, Recipe, Run
from awaccli.errors import InputError, UsageError
from awaccli.reports.chain import Chain, read_chain, shown
from awaccli.reports.rebuild_arguments import rebuild_arguments
from awaccli.reports.rebuild_names import SPLIT, command_name, plain_name, without_part
from awaccli.reports.rebuild_plan import Command, Made, Plan, Used, Written
from awaccli.reports.recipe_arguments import Arguments
from awaccli.reports.verb_arguments import PREFIX, part_of

_INPUT_FLAGS = {"policy": "--policy", "demos": "--demos", "data": "--data", "online": "--add-data"}
_READING_TASKS = ("bc-rollout", "finetune", "finetune-online", "eval")
"""Stages whose environment is described by their input."""
_TRAINING = ("bc-rollout", "pretrain", "finetune", "finetune-online")
_CHOICES = (
    ("device", "--device", "cpu"),
    ("precision", "--precision", "float32"),
    ("compilation", "--compile", "auto"),
)
"""Fields of `Execution` that change the last bits, their flags and defaults; `bc-rollout` has the first."""
_EXPERT = "expert"
_DATASET_SUFFIXES = (".zarr", ".h5", ".hdf5")


def plan(
    path: Path, folder: Path, *, parents: Path | None = None, reuse: bool = False, trust_env: bool = False
) -> Plan:
    """Return the commands that make the artifact at ``path`` from its roots.

    Args:
        path: a dataset, a checkpoint or an evaluation.
        folder: where everything that is made goes.
        parents: a further folder to look for ancestors in.
        reuse: use every ancestor that is on disk instead of making it again.
        trust_env: tell the commands to trust the environments that files describe.

    Raises:
        InputError: not an artifact; or one of the chain cannot be made by a command and is not on disk.
        UsageError: something would be made where the recorded one is.
    """
    found = plan_of(read_chain(path, parents), folder, parents=parents, reuse=reuse, trust_env=trust_env)
    for made in (made for command in found.commands for made in command.makes):
        if made.recorded_path and Path(made.path).resolve() == Path(made.recorded_path).resolve():
            raise UsageError(
                f"`{made.path}` is the recorded artifact: it would be compared with itself",
                hint="choose another --dir",
            )
    return found


def plan_of(
    chain: Chain, folder: Path, *, parents: Path | None = None, reuse: bool = False, trust_env: bool = False
) -> Plan:
    """Return the commands that make the artifact of a chain, wherever its parts are; see `plan`.

    Raises:
        InputError: one of the chain cannot be made by a command and is not on disk.
    """
    folders = [shown(chain.path.absolute().parent), *([parents] if parents else [])]
    return _Planning(chain, folder, *_decide(chain, folders, reuse=reuse), trust_env).plan()


def _decide(
    chain: Chain, folders: Sequence[Path], *, reuse: bool
) -> tuple[dict[str, Arguments], dict[str, str]]:
    """Return what is to be made, with arguments, and what is used as it is, with the reason if it must be."""
    made: dict[str, Arguments] = {}
    used: dict[str, str] = {}
    waiting = [chain.manifest.id]
    while waiting:
        identity = waiting.pop()
        if identity in made or identity in used:
            continue
        on_disk = identity in chain.found and identity != chain.manifest.id
        if on_disk and reuse:
            used[identity] = ""
            continue
        try:
            made[identity] = rebuild_arguments(chain, identity, folders)
        except InputError as problem:
            if not on_disk:
                raise _impossible(chain, identity, problem) from problem
            used[identity] = str(problem)
            continue
        waiting += [ref.id for ref in reversed(_inputs(chain, identity))]
    return made, used


def _inputs(chain: Chain, identity: str) -> list[InputRef]:
    recipe = chain.recipe(identity)
    return [ref for ref in recipe.inputs if ref.role != _EXPERT] if recipe else []


def _impossible(chain: Chain, identity: str, problem: InputError) -> InputError:
    if identity == chain.manifest.id:
        hint = problem.hint or "it cannot be made again: keep a copy of it"
        return InputError(f"`{chain.path}` {problem}", hint=hint)
    known = chain.recipes.get(identity)
    return InputError(
        f"`{chain.path}` needs the {known.kind if known else 'artifact'} {identity[:12]}, which {problem}",
        hint=problem.hint or "restore it from a copy, beside the artifact or in a folder named by --parents",
    )


@dataclass(frozen=True)
class _Planning:
    """Names and order for what was decided."""

    chain: Chain
    folder: Path
    made: Mapping[str, Arguments]
    used: Mapping[str, str]
    trust_env: bool

    def plan(self) -> Plan:
        """Return the plan."""
        commands = tuple(self._command(identity) for identity in self._order)
        places = {identity: str(self.chain.found[identity].path) for identity in self.used}
        reasons = [
            f"`{places[identity]}` {why}: it is used as it is" for identity, why in self.used.items() if why
        ]
        return Plan(
            id=self.chain.manifest.id,
            path=str(self.chain.path),
            folder=str(self.folder),
            files=tuple(
                Written(path=str(self._described(identity)), text=self.made[identity].description)
                for identity in self._order
                if self.made[identity].description
            ),
            commands=commands,
            uses=tuple(Used(id=identity, path=place) for identity, place in places.items()),
            notes=(*reasons, *self._assumption()),
            doubts=tuple(sorted({words.doubt for words in self.made.values() if words.doubt})),
        )

    @cached_property
    def _maker(self) -> dict[str, str]:
        """By artifact, the one whose command makes it: itself, or what it is a companion of."""
        makers = {identity: identity for identity in self.made}
        for identity in self.made:
            for beside in self._beside(identity) if makers[identity] == identity else ():
                if makers.get(beside) == beside:
                    makers[beside] = identity
        return makers

    def _beside(self, identity: str) -> dict[str, str]:
        """Return what the command of an artifact makes beside it, by id: how the names end."""
        recipe = self._recipe(identity)
        if recipe.stage != SPLIT:
            return {found.id: found.ending for found in self.chain.companions(identity)}
        others = {other: self._recipe(other) for other in self.made if other != identity}
        return {
            other: f"-{part_of(other_recipe)}.zarr"
            for other, other_recipe in others.items()
            if without_part(other_recipe) == without_part(recipe)
        }

    @cached_property
    def _order(self) -> list[str]:
        """The main output of each command, roots first."""
        needs: dict[str, list[str]] = {maker: [] for maker in reversed(self._maker.values())}
        for identity, maker in self._maker.items():
            needs[maker] += [
                self._maker[ref.id] for ref in _inputs(self.chain, identity) if ref.id in self.made
            ]
        return list(TopologicalSorter(needs).static_order())

    @cached_property
    def _targets(self) -> dict[str, Path]:
        """What comes after ``-o`` in the command of each main output."""
        taken: Counter[str] = Counter()
        targets = {}
        for identity in self._order:
            name = Path(plain_name(self._recipe(identity)))
            name = name.with_suffix(self._suffix(identity, name.suffix))
            taken[name.name] += 1
            number = f"-{taken[name.name]}" if taken[name.name] > 1 else ""
            targets[identity] = self.folder / f"{name.stem}{number}{name.suffix}"
        return targets

    def _suffix(self, identity: str, usual: str) -> str:
        """Return the ending of an output: the artifact itself is stored as it was."""
        asked = self.chain.path.suffix
        is_it = identity == self.chain.manifest.id and usual == ".zarr"
        return asked if is_it and asked in _DATASET_SUFFIXES else usual

    @cached_property
    def _outputs(self) -> dict[str, dict[str, Path]]:
        """By main output, everything known that its command commits, by id."""
        outputs = {}
        for identity, target in self._targets.items():
            own = {identity: target}
            if self._recipe(identity).stage == "finetune-online":  # its checkpoint is not part of the chain
                own = {identity: self._next_to(target, "-online.zarr", identity)}
            elif self._recipe(identity).stage == SPLIT:
                part = part_of(self._recipe(identity))
                own = {identity: self._next_to(target, f"-{part}.zarr", identity)}
            outputs[identity] = own | {
                other: self._next_to(target, ending, other)
                for other, ending in self._beside(identity).items()
            }
        return outputs

    def _next_to(self, target: Path, ending: str, identity: str) -> Path:
        path = target.with_name(target.stem + ending)
        return path.with_suffix(self._suffix(identity, path.suffix))

    def _path(self, identity: str) -> str:
        """Return where a command finds an input."""
        if identity in self.used:
            return str(self.chain.found[identity].path)
        return str(self._outputs[self._maker[identity]][identity])

    def _command(self, identity: str) -> Command:
        recipe, outputs, words = self._recipe(identity), self._outputs[identity], self.made[identity]
        flags = {} if recipe.stage.startswith(PREFIX) else _INPUT_FLAGS
        inputs: list[str] = []
        for ref in _inputs(self.chain, identity):
            inputs += [flags[ref.role]] if ref.role in flags else []
            inputs.append(self._path(ref.id))
        online = [
            str(path) for path in outputs.values() if path.stem.endswith("-online") and path.suffix != ".zarr"
        ]
        reads_task = recipe.stage in _READING_TASKS or "--goal-reward" in words.rest
        arguments = [
            *command_name(recipe.stage),
            *words.subject,
            *inputs,
            *words.rest,
            *(["--map", str(self._described(identity))] if words.description else []),
            *self._execution(identity),
            *(["--trust-env"] if self.trust_env and reads_task else []),
            *(["--save-online", *online] if online else []),
            "-o",
            str(self._targets[identity]),
        ]
        return Command(
            arguments=tuple(arguments),
            makes=tuple(self._made(found, path) for found, path in outputs.items()),
        )

    def _described(self, identity: str) -> Path:
        """Return where the description goes that an import reads."""
        return self._targets[identity].with_suffix(".toml")

    def _execution(self, identity: str) -> list[str]:
        """Return what is no setting, but decides the last bits of what is trained."""
        if self._recipe(identity).stage not in _TRAINING:
            return []
        execution = (self._run(identity) or self.chain.manifest.run).execution
        words = ["--threads", str(execution.get("threads", 1))]
        choices = _CHOICES if self._recipe(identity).stage != "bc-rollout" else _CHOICES[:1]
        for name, flag, usual in choices:
            value = str(execution.get(name, usual))
            words += [flag, value] if value != usual else []
        return words

    def _run(self, identity: str) -> Run | None:
        """Return the run that made an artifact and what lies beside it, if one of them is on disk."""
        same_run = [identity, *(beside.id for beside in self.chain.companions(identity))]
        runs = (self.chain.found[known].manifest.run for known in same_run if known in self.chain.found)
        return next(runs, None)

    def _assumption(self) -> list[str]:
        trained = [identity for identity in self._order if self._recipe(identity).stage in _TRAINING]
        gone = [self._targets[identity].name for identity in trained if self._run(identity) is None]
        assumed = f"the thread count of what is gone is unknown, that of `{self.chain.path}` is used: "
        return [assumed + ", ".join(gone)] if gone else []

    def _made(self, identity: str, path: Path) -> Made:
        known, found = self.chain.recipes[identity], self.chain.found.get(identity)
        return Made(
            id=identity,
            kind=known.kind,
            recipe_key=known.recipe.key,
            path=str(path),
            recorded_path=str(found.path) if found else None,
        )

    def _recipe(self, identity: str) -> Recipe:
        return self.chain.recipes[identity].recipe
