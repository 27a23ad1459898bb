"""What crosses between Python and Lashlang: the value types of chapter 3 as Python sees them.

A Lashlang value is plain Python: None, bool, int, float, str, list, dict with str keys, `Image`, and,
where a value is lazily read, `lashlang.projection.Projected`. On the way in tuples count as lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Value: TypeAlias = Any
"""A Lashlang value as Python data. Typed `Any`, as JSON libraries do: its shape is the program's business."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image by its five fields (chapter 14); the pixels stay with the host, which finds them by `id`.

    `size` is in bytes; `width` and `height` are pixels, or None where unknown.
    """

    id: str
    label: str
    size: int
    width: int | None = None
    height: int | None = None

    def to_json(self) -> dict[str, Value]:
        """The object that stands for the image in JSON (chapter 4)."""
        return {
            "type": "image",
            "id": self.id,
            "label": self.label,
            "size": self.size,
            "width": self.width,
            "height": self.height,
        }
