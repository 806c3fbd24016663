"""TensorBoard's event files: the lines of ``metrics.jsonl`` once more, for who looks at curves there.

Scalars need so little of the format that it is written here: the packages for it load PyTorch or TensorFlow,
and write from a thread, where an error is noticed late or not at all.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from google_crc32c import value as crc32c

from awaccli.artifacts.manifest import Clock
from awaccli.artifacts.metrics import MetricsLog, Rows
from awaccli.protocols import Reporter

Axis = Literal["updates", "env_steps"]
COUNTERS = frozenset(("phase", "updates", "env_steps", "robot_min", "wall_s"))
"""What places a line of the metrics, and is no curve."""
_VARINT, _FLOAT64, _BYTES, _FLOAT32 = 0, 1, 2, 5
"""How protocol buffers mark what follows a field's number."""


def axis_of(settings: Mapping[str, Any]) -> Axis:
    """Return what a run with these settings counts by: environment steps where it takes any, or updates."""
    online = settings.get("finetune")
    return "env_steps" if isinstance(online, dict) and online.get("env_steps") else "updates"


def event_folder(out: Path) -> Path:
    """Return where the event files of the run that makes ``out`` go: beside it."""
    return out.with_name(f"{out.stem}-tensorboard")


def log_as_asked(
    metrics: MetricsLog, clock: Clock, out: Path, settings: Mapping[str, Any], report: Reporter
) -> None:
    """Log the run that makes ``out`` beside its metrics, where its execution asks for it."""
    if clock.execution.log == "tensorboard":
        began_s = time.time() - clock.elapsed_s
        metrics.follow(EventFile(event_folder(out), axis_of(settings), began_s=began_s).write, report)


def curves(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a line of metrics by name, without its counters."""
    return {
        name: value
        for name, value in row.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and name not in COUNTERS
    }


class EventFile:
    """An event file in a folder; those that an earlier part of the same run wrote there are emptied."""

    def __init__(self, folder: Path, axis: Axis, *, began_s: float | None = None) -> None:
        """Write nothing yet.

        Args:
            folder: is made with the first line.
            axis: the counter that curves are drawn over.
            began_s: when the run began, in seconds since 1970 [default: now].
        """
        self._began_s = time.time() if began_s is None else began_s
        self._path = folder / f"events.out.tfevents.{self._began_s:.0f}.awac"
        self._axis = axis
        self._begun = False

    def write(self, rows: Rows) -> None:
        """Append lines of metrics.

        Raises:
            OSError: the file cannot be written, or its folder is gone.
        """
        events = []
        if not self._begun:
            self._begin()
            events = [self._event({}, _VERSION), self._event({}, _START)]
        events += [self._event(row, _summary(curves(row))) for row in rows]
        with self._path.open("ab") as file:
            file.write(b"".join(map(_record, events)))

    def _begin(self) -> None:
        self._path.parent.mkdir(exist_ok=True)
        for earlier in self._path.parent.glob("events.out.tfevents.*.awac"):
            earlier.write_bytes(b"")  # a TensorBoard that reads it would stumble over its absence
        self._begun = True

    def _event(self, row: Mapping[str, Any], content: bytes) -> bytes:
        """Return an ``Event`` of TensorFlow's protocol: field 1 is the time, 2 the step."""
        wall_time = struct.pack("<Bd", 1 << 3 | _FLOAT64, self._began_s + row.get("wall_s", 0.0))
        at = row.get(self._axis, 0)
        step = _varint(2 << 3 | _VARINT) + _varint(at) if at else b""
        return wall_time + step + content


def _summary(values: Mapping[str, float]) -> bytes:
    """Return field 5 of an ``Event``: values, each a message with a tag and a number."""
    tags = {name: _bytes_field(1, name.encode()) for name in values}
    numbers = {name: struct.pack("<Bf", 2 << 3 | _FLOAT32, value) for name, value in values.items()}
    return _bytes_field(5, b"".join(_bytes_field(1, tags[name] + numbers[name]) for name in values))


def _bytes_field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    """Return a whole number >= 0 in groups of 7 bits, the lowest first, each but the last marked."""
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes([*groups, value])


def _record(data: bytes) -> bytes:
    """Return data as TensorFlow frames it: its length and itself, each with its checksum."""
    length = struct.pack("<Q", len(data))
    return length + _masked_crc(length) + data + _masked_crc(data)


def _masked_crc(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


_VERSION = _bytes_field(3, b"brain.Event:2")
_START = _bytes_field(7, b"\x08\x01")
"""A TensorBoard that is looking drops what it has read of the files that were here."""
