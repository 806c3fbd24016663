"""Pictures of an environment in any state that it was in, drawn off-screen."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, Protocol, Self

import numpy as np

from awaccli.config.task import TaskFacts, TaskSpec
from awaccli.envs.hands import find_hand
from awaccli.envs.opengl import open_gl
from awaccli.envs.simulation import Simulation
from awaccli.episode import Episode
from awaccli.errors import AwacError, DatasetError, RunError, UsageError

Start = Literal["states", "start", "seed"]
"""What is drawn: the stored states of every step, or the stored actions executed again, from the stored
start state or from the reset with the stored seed."""

_ANY_SEED = 0
_TOLERANCE = 1e-3
"""An observation that is further from the recorded one, relative beyond 1, shows in the picture."""
_CLOSE_UP, _OVERVIEW, _FOLLOWING = "fixed", "vil_camera", "track"
"""Cameras in the models: of the pen task, of the other hand tasks, of the walkers."""


class _Screen(Protocol):
    """Where the current state of an environment can be seen."""

    def picture(self) -> np.ndarray:
        """Return what is seen, uint8 [H, W, 3]."""
        ...

    def close(self) -> None:
        """Free it."""
        ...


class Studio:
    """The environment of a task, and a camera in front of it.

    Args:
        facts: the task as it was recorded.
        width: of a picture, in pixels.
        height: of a picture, in pixels; environments that are not MuJoCo's draw in a size of their own.
        camera: name or number of a camera in the MuJoCo model; None: one that shows the task well.

    Raises:
        RunError: no OpenGL, or an environment that cannot be drawn.
        UsageError: the environment cannot be made, or has no such camera.
        DatasetError: it is not the one that was recorded.
    """

    def __init__(self, facts: TaskFacts, *, width: int, height: int, camera: str | None = None) -> None:
        if facts.mjcf_sha256:
            open_gl()  # before MuJoCo is imported, which raises where MUJOCO_GL cannot be had
        self._simulation = _simulation(facts.spec)
        self._screen: _Screen | None = None
        try:
            _require_same_sizes(facts, self._simulation)
            self._screen = _screen(self._simulation, width, height, camera)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the environment and its screen."""
        if self._screen:
            self._screen.close()
        self._simulation.close()

    def frames(
        self, episode: Episode, start: Start, steps: Sequence[int], diverged: Callable[[int], None]
    ) -> Iterator[np.ndarray]:
        """Yield pictures of an episode, uint8 [H, W, 3].

        Args:
            episode: what was recorded.
            start: from what it is drawn.
            steps: which, rising: step t is the state after t actions.
            diverged: is told the first step at which actions led elsewhere than when they were recorded.

        Raises:
            RunError: the environment failed.
            DatasetError: a state that is not one of this simulator.
        """
        if start != "seed" and self._simulation.state is None:
            raise DatasetError(
                f"task `{self._simulation.task.name}` has no MuJoCo simulator here for the stored states",
                hint="it was recorded in another version of the environment",
            )
        with _foreign_code(self._simulation.task):
            states = self._stored(episode) if start == "states" else self._replayed(episode, start, diverged)
            wanted = frozenset(steps)
            assert self._screen is not None
            for step, _ in enumerate(states):
                if step in wanted:
                    yield self._screen.picture()

    def _stored(self, episode: Episode) -> Iterator[None]:
        """Put the simulator into each of the states that were stored."""
        self._begin(episode)
        _, data = _mujoco(self._simulation)
        for qpos, qvel in zip(episode.sim["qpos"], episode.sim["qvel"], strict=True):
            if (qpos.shape, qvel.shape) != (data.qpos.shape, data.qvel.shape):
                raise DatasetError(
                    f"the recorded states have {qpos.size} positions and {qvel.size} velocities, "
                    f"the simulator here {data.qpos.size} and {data.qvel.size}",
                    hint="it was recorded in another version of the environment",
                )
            data.qpos[:], data.qvel[:] = qpos, qvel
            yield

    def _replayed(self, episode: Episode, start: Start, diverged: Callable[[int], None]) -> Iterator[None]:
        """Execute the recorded actions, whether the task ends on the way or not."""
        self._begin(episode, from_seed=start == "seed")
        yield
        same = True
        for step, action in enumerate(episode.actions, start=1):
            found = self._simulation.step(action).observation
            if same and not np.allclose(found, episode.observations[step], rtol=_TOLERANCE, atol=_TOLERANCE):
                same = False
                diverged(step)
            yield

    def _begin(self, episode: Episode, *, from_seed: bool = False) -> None:
        """Start an episode where it started, as far as that is stored."""
        known = not from_seed and episode.sim_init is not None
        self._simulation.reset(_ANY_SEED if known or episode.seed is None else episode.seed)
        if known and episode.sim_init is not None:
            state = self._simulation.state
            assert state is not None
            # A relabelled segment knows what was where, but not the state that it begins in.
            whole = np.isfinite(episode.sim_init).all()
            state.restore(episode.sim_init if whole else state.read(), episode.model)


class _MujocoScreen:
    """Draws a MuJoCo model through a context of its own: any number can be open, whatever was imported."""

    def __init__(self, simulation: Simulation, width: int, height: int, camera: str | None) -> None:
        import mujoco

        self._mujoco = mujoco
        self._model, self._data = _mujoco(simulation)
        self._copy = mujoco.MjData(self._model)
        self._camera = _camera(simulation, camera)
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        limits = self._model.vis.global_
        limits.offwidth, limits.offheight = max(limits.offwidth, width), max(limits.offheight, height)
        self._gl = importlib.import_module(f"mujoco.{open_gl()}").GLContext(width, height)
        self._gl.make_current()
        self._scene = mujoco.MjvScene(self._model, maxgeom=10_000)
        self._options = mujoco.MjvOption()
        self._context = mujoco.MjrContext(self._model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)

    def picture(self) -> np.ndarray:
        mujoco, everything = self._mujoco, self._mujoco.mjtCatBit.mjCAT_ALL
        self._gl.make_current()
        # After a step, places of bodies lag behind; computing them in the original would move its warm start.
        mujoco.mj_copyData(self._copy, self._model, self._data)
        mujoco.mj_forward(self._model, self._copy)
        mujoco.mjv_updateScene(
            self._model, self._copy, self._options, None, self._camera, everything, self._scene
        )
        mujoco.mjr_render(self._rectangle, self._scene, self._context)
        pixels = np.empty((self._rectangle.height, self._rectangle.width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._context)
        return pixels[::-1]  # OpenGL begins with the lowest row

    def close(self) -> None:
        self._gl.make_current()
        self._context.free()
        self._gl.free()


class _OwnScreen:
    """What an environment draws itself."""

    def __init__(self, simulation: Simulation) -> None:
        self._env, self._name = simulation.env, simulation.task.name

    def picture(self) -> np.ndarray:
        pixels = np.asarray(self._env.render())
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[-1] != 3:
            raise RunError(
                f"task `{self._name}` draws {pixels.dtype} {list(pixels.shape)}",
                hint="expected uint8 [H, W, 3] from its render(), made with render_mode='rgb_array'",
            )
        return pixels

    def close(self) -> None:
        """The environment frees it."""


def _simulation(task: TaskSpec) -> Simulation:
    """Make the environment; one without a MuJoCo model is told to draw."""
    simulation = Simulation(task)
    if simulation.state is not None:
        return simulation
    modes = simulation.env.metadata.get("render_modes") or ()
    simulation.close()
    if "rgb_array" not in modes:
        raise RunError(
            f"task `{task.name}` cannot be drawn: its environment has no MuJoCo model",
            hint="and it does not list `rgb_array` in metadata['render_modes'], which is the other way",
        )
    return Simulation(task.model_copy(update={"kwargs": {**task.kwargs, "render_mode": "rgb_array"}}))


def _screen(simulation: Simulation, width: int, height: int, camera: str | None) -> _Screen:
    if simulation.state is not None:
        return _MujocoScreen(simulation, width, height, camera)
    if camera is not None:
        raise UsageError(
            f"task `{simulation.task.name}` has no cameras to choose from", hint="leave out --camera"
        )
    return _OwnScreen(simulation)


def _require_same_sizes(facts: TaskFacts, simulation: Simulation) -> None:
    recorded = (facts.observation_dim, facts.action_dim)
    here = (simulation.observation_dim, len(simulation.low))
    if recorded != here:
        raise DatasetError(
            f"task `{facts.spec.name}` was recorded with {recorded[0]} observations and {recorded[1]} "
            f"actions, here it has {here[0]} and {here[1]}",
            hint="it was recorded in another version of the environment",
        )


def _mujoco(simulation: Simulation) -> tuple[Any, Any]:
    """Return MuJoCo's model and data behind an environment that has them."""
    inner: Any = simulation.env.unwrapped
    return inner.model, inner.data


def _camera(simulation: Simulation, wanted: str | None) -> Any:
    """Return MuJoCo's camera of this name or number, or the one that suits the task."""
    import mujoco

    model, _ = _mujoco(simulation)
    names = [model.camera(index).name for index in range(model.ncam)]
    if wanted is None:
        hand = find_hand(simulation.task.env_id)
        wanted = (_CLOSE_UP if hand.name == "pen" else _OVERVIEW) if hand else _FOLLOWING
        if wanted not in names:
            return _free_camera(simulation)
    if wanted not in names and not (wanted.isdecimal() and int(wanted) < len(names)):
        raise UsageError(
            f"task `{simulation.task.name}` has no camera `{wanted}`",
            hint=f"it has {', '.join(names) or 'none'}" if names else "leave out --camera",
        )
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
    camera.fixedcamid = names.index(wanted) if wanted in names else int(wanted)
    return camera


def _free_camera(simulation: Simulation) -> Any:
    """Return a camera outside of the model, placed as Gymnasium would for this environment."""
    import mujoco

    model, _ = _mujoco(simulation)
    camera = mujoco.MjvCamera()
    mujoco.mjv_defaultFreeCamera(model, camera)
    placed = getattr(getattr(simulation.env.unwrapped, "mujoco_renderer", None), "default_cam_config", None)
    for name, value in (placed or {}).items():
        if isinstance(value, np.ndarray):
            getattr(camera, name)[:] = value
        else:
            setattr(camera, name, value)
    return camera


@contextmanager
def _foreign_code(task: TaskSpec) -> Iterator[None]:
    try:
        yield
    except AwacError:
        raise
    except (Exception, SystemExit) as error:
        raise RunError(
            f"task `{task.name}`: the environment raised {type(error).__name__}: {error}",
            hint="it cannot be drawn here",
        ) from error
