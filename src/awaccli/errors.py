"""Errors a user or a file can cause: one class per exit code, each with a message and a hint.

Anything else that escapes is a bug in awac and exits with 1.
"""

from __future__ import annotations

from typing import ClassVar


class AwacError(Exception):
    """A failure with a clear cause. ``str(error)`` says what and where; ``hint`` what to do next."""

    exit_code: ClassVar[int] = 1
    meaning: ClassVar[str] = "a bug in awac"

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(AwacError):
    """Flags or configuration that make no sense."""

    exit_code = 2
    meaning = "usage or config"


class InputError(AwacError):
    """An input is missing, corrupt or does not fit the others."""

    exit_code = 3
    meaning = "input missing, corrupt or incompatible"


class DatasetError(InputError):
    """A dataset cannot be used as it is."""


class CheckpointError(InputError):
    """A checkpoint or policy file cannot be used as it is."""


class OutputExistsError(AwacError):
    """The output, or an unfinished one, is already there."""

    exit_code = 4
    meaning = "output exists"


class RunError(AwacError):
    """The run itself failed: NaN, an environment or policy that raised, a full disk."""

    exit_code = 5
    meaning = "the run failed"


class CheckError(AwacError):
    """A check the user asked for is not met."""

    exit_code = 6
    meaning = "a check not met"


class InterruptedRunError(AwacError):
    """A signal asked the run to stop; what was committed is safe. Exit code is 128 + the signal."""

    def __init__(self, signal: int, message: str = "interrupted", *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.signal = signal


SIGNAL_EXIT_CODES = {130: "Ctrl-C", 141: "broken pipe", 143: "SIGTERM"}
"""Exit codes that follow from a signal, ``128 + number``."""


def exit_code_of(error: AwacError) -> int:
    """Return the process exit code for ``error``."""
    return 128 + error.signal if isinstance(error, InterruptedRunError) else error.exit_code


def exit_code_table() -> dict[int, str]:
    """Return every exit code of the command line with its meaning."""
    classes = (AwacError, UsageError, InputError, OutputExistsError, RunError, CheckError)
    return {0: "ok"} | {cls.exit_code: cls.meaning for cls in classes} | SIGNAL_EXIT_CODES
