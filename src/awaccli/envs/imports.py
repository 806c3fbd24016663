"""Importing modules that the user names: packages that register environments, files with policies."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from awaccli.errors import UsageError

INSTALLED_MODULES = frozenset({"awaccli.envs", "gymnasium", "gymnasium_robotics"})
"""Modules that register environments, and that no file in the current folder stands for."""


def import_named(name: str) -> ModuleType:
    """Import a module by its dotted name; one in the current folder counts if none is installed.

    Raises:
        UsageError: there is none, or importing it fails.
    """
    silence_robotics_notice()
    here = str(Path.cwd())
    if name not in INSTALLED_MODULES and here not in sys.path and "" not in sys.path:
        sys.path.append(here)  # at the end: a folder from a stranger must not put its own NumPy in our way
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise UsageError(f"module `{name}` needs `{error.name}`, which is not installed") from error
        local = [module.name for module in pkgutil.iter_modules([here])]
        raise UsageError(
            f"no module named `{name}`",
            hint=closest(name, local) or f"expected an installed package or a file `{name}.py` in {here}",
        ) from error
    except (Exception, SystemExit) as error:  # foreign code: a module may raise anything
        raise UsageError(f"importing `{name}` failed: {type(error).__name__}: {error}") from error


def closest(text: str, known: list[str]) -> str | None:
    """Return a did-you-mean hint, or None if nothing is close."""
    by_lower = {name.lower(): name for name in known}
    found = difflib.get_close_matches(text.lower(), by_lower, n=3)
    return f"did you mean {' or '.join(f'`{by_lower[name]}`' for name in found)}?" if found else None


def silence_robotics_notice() -> None:
    """Keep gymnasium-robotics from printing, at import, that its dense hand rewards changed in 1.2.1.

    Our tasks do not use those rewards, and datasets record the package's version.
    """
    with contextlib.suppress(ImportError):
        from farama_notifications import notifications  # type: ignore[import-untyped]

        notifications.pop("gymnasium_robotics", None)
