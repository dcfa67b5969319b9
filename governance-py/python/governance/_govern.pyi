"""Governing a tool: the same function, but each call of it is decided, recorded, checked again, run, and recorded again."""

from collections.abc import Callable
from typing import Any, Optional

__all__ = ["govern", "whose"]

def govern(
    whose: Callable[[], Any],
    tool: Optional[Callable[..., Any]],
    /,
    *,
    action: str,
    target: Optional[str] = None,
    target_from: Optional[str] = None,
    path: Optional[str] = None,
    path_from: Optional[str] = None,
    opened: Optional[str] = None,
    timeout: Any = None,
    waiting: Any = None,
    approval: Optional[str] = None,
) -> Any:
    """A tool, governed for the agent that `whose` answers; a decorator where there is no tool yet."""

def whose() -> Any: ...
