"""Which OpenGL draws without a display here: found out in a process of its own, since drivers may crash."""

from __future__ import annotations

import functools
import os
import subprocess
import sys

from awaccli.errors import RunError

_BACKENDS = {"darwin": ("cgl",), "win32": ("glfw",)}.get(sys.platform, ("egl", "osmesa"))
"""MuJoCo's names, in the order in which they are tried; on Linux the graphics card comes first."""
_ANY = ("", "1", "on", "true", "enable", "enabled")
"""Values of MUJOCO_GL that leave the choice open."""
_PROBE = """
import importlib, sys, mujoco
context = importlib.import_module("mujoco." + sys.argv[1]).GLContext(64, 64)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100)
"""
_PROBE_S = 60
_INSTALL = (
    "on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri (with or without a graphics card), "
    "or apt install libosmesa6; see docs/looking.md"
)


def open_gl() -> str:
    """Return the name, as in MUJOCO_GL, of an OpenGL that works; that variable restricts the choice.

    Raises:
        RunError: there is none.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower().strip()
    tried = {}
    for backend in _BACKENDS if wanted in _ANY else (wanted,):
        tried[backend] = problem = _problem(backend)
        if problem is None:
            return backend
    asked = "" if wanted in _ANY else f", and MUJOCO_GL={wanted} asks for no other"
    raise RunError(
        "no OpenGL can draw without a display here"
        f"{asked} ({'; '.join(f'{backend}: {problem}' for backend, problem in tried.items())})",
        hint=_INSTALL,
    )


@functools.cache
def _problem(backend: str) -> str | None:
    """Return why a context of ``backend`` cannot be opened, or None if it can."""
    if backend not in ("egl", "osmesa", "glfw", "cgl"):
        return "unknown"
    try:
        probe = subprocess.run(
            [sys.executable, "-c", _PROBE, backend],
            env={**os.environ, "MUJOCO_GL": backend},
            capture_output=True,
            text=True,
            timeout=_PROBE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"did not answer within {_PROBE_S} s"
    if probe.returncode == 0:
        return None
    return next(reversed(probe.stderr.strip().splitlines()), f"exit status {probe.returncode}")
