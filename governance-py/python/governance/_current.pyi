"""Which agent acts here."""

from collections.abc import Callable
from contextvars import ContextVar, Token
from datetime import timedelta
from typing import Any, Literal, Optional, TypeVar, Union, overload

from typing_extensions import ParamSpec, TypeAlias

__all__ = ["current", "enter", "govern", "leave"]

current: ContextVar[Any]

def enter(agent: Any) -> Token[Any]: ...
def leave(entered: Token[Any]) -> None: ...

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Mode: TypeAlias = Literal["r", "rb", "w", "wb", "x", "xb"]
_Span: TypeAlias = Union[float, timedelta]

@overload
def govern(
    tool: Callable[_P, _R],
    /,
    *,
    action: str,
    target: Optional[str] = None,
    target_from: Optional[str] = None,
    path: Optional[str] = None,
    path_from: Optional[str] = None,
    opened: None = None,
    timeout: Optional[_Span] = None,
    waiting: Optional[_Span] = None,
    approval: Optional[str] = None,
) -> Callable[_P, _R]:
    """Governs a tool for the agent that acts where it is called: inside `with governance.agent(…)`. Also a decorator.

    Each call of what is answered is decided by the agent's profile, recorded, checked again, run, and recorded again; a refusal is a
    `DeniedError`, a `RevokedError` or an `ExhaustedError`, and then the tool does not run. Whatever fails while that is decided refuses too.

    `target` names what the tool touches, and `path` where, always; `target_from` and `path_from` name the parameter that says so. The argument of
    `path_from` is replaced by the place that it really leads to, an absolute path below the agent's root, or by the open file where `opened` says
    how. `timeout` is 60 seconds unless said otherwise; a tool that is no coroutine runs on a thread of its own where it is given, and as long as it
    takes where not. Where a call needs a person's approval, `waiting` is how long it waits for that before it is refused, and `approval` the id of
    the one that it rests on.
    """

@overload
def govern(
    tool: None = None,
    /,
    *,
    action: str,
    target: Optional[str] = None,
    target_from: Optional[str] = None,
    path: Optional[str] = None,
    path_from: Optional[str] = None,
    opened: None = None,
    timeout: Optional[_Span] = None,
    waiting: Optional[_Span] = None,
    approval: Optional[str] = None,
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
@overload
def govern(
    tool: Callable[..., _R],
    /,
    *,
    action: str,
    target: Optional[str] = None,
    target_from: Optional[str] = None,
    path: Optional[str] = None,
    path_from: str,
    opened: _Mode,
    timeout: Optional[_Span] = None,
    waiting: Optional[_Span] = None,
    approval: Optional[str] = None,
) -> Callable[..., _R]: ...
@overload
def govern(
    tool: None = None,
    /,
    *,
    action: str,
    target: Optional[str] = None,
    target_from: Optional[str] = None,
    path: Optional[str] = None,
    path_from: str,
    opened: _Mode,
    timeout: Optional[_Span] = None,
    waiting: Optional[_Span] = None,
    approval: Optional[str] = None,
) -> Callable[[Callable[..., _R]], Callable[..., _R]]: ...
