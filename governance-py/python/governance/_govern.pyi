"""Governing a tool: the same function, but each call of it is decided, recorded, checked again, run, and recorded again."""

from collections.abc import Callable
from typing import Any, Optional

__all__ = ["govern", "kind_of", "whose"]

def govern(
    whose: Callable[[], Any],
    tool: Optional[Callable[..., Any]],
    /,
    *,
    action: str,
    opened: Optional[str] = None,
    **options: Any,
) -> Any:
    """A tool, governed for the agent that `whose` answers; a decorator where there is no tool yet. The options are those that `_Tool` takes."""

def whose() -> Any: ...
def kind_of(tool: Callable[..., Any]) -> str: ...
