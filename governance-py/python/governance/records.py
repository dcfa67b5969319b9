"""What calls answer: plain values with names. All are frozen, comparable, and survive pickling."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Optional

from ._governance import Section

__all__ = ["BoardEntry", "Written"]


@dataclass(frozen=True)
class Written:
    """What became of a compare-and-set: true if it was written."""

    accepted: Optional[int]
    """The new version, if it was written."""
    conflict: Optional[int]
    """The version that is there now, if somebody was first."""

    def __bool__(self) -> bool:
        return self.accepted is not None


@dataclass(frozen=True)
class BoardEntry:
    """One entry of a section of a blackboard."""

    section: Section
    """Where."""
    name: str
    """Its name."""
    version: int
    """How often it was written."""
    author: str
    """Who wrote it last."""
    at: datetime
    """When, on the author's clock, in UTC."""
    content: Any
    """What it says; none once removed."""
    removed: bool
    """Whether it was removed."""
