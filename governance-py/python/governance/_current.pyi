"""Which agent acts here."""

from collections.abc import Callable, Sequence
from contextvars import ContextVar, Token
from datetime import timedelta
from typing import Any, Literal, Optional, TypedDict, TypeVar, Union, overload, type_check_only

from typing_extensions import ParamSpec, TypeAlias, Unpack

__all__ = ["current", "enter", "govern", "leave", "unless_besides"]

current: ContextVar[Any]

def enter(agent: Any) -> Token[Any]: ...
def leave(entered: Token[Any]) -> None: ...
def unless_besides(raised: Optional[BaseException], failed: Exception) -> None:
    """Raises why leaving failed, unless something is raised already: that goes on, with a note of the other."""

_P = ParamSpec("_P")
_R = TypeVar("_R")
_Mode: TypeAlias = Literal["r", "rb", "w", "wb", "x", "xb"]
_Span: TypeAlias = Union[float, timedelta]

@type_check_only
class _ToolOptions(TypedDict, total=False):
    target: Optional[str]
    target_from: Optional[str]
    path: Optional[str]
    timeout: Optional[_Span]
    waiting: Optional[_Span]
    approval: Optional[str]
    risks: Optional[Sequence[str]]
    counting_failures: Optional[bool]

@overload
def govern(
    tool: Callable[_P, _R], /, *, action: str, path_from: Optional[str] = None, opened: None = None, **options: Unpack[_ToolOptions]
) -> Callable[_P, _R]:
    """Governs a tool for the agent that acts where it is called: inside `with governance.agent(…)`. Also a decorator.

    Each call of what is answered is decided by the agent's profile, recorded, checked again, run, and recorded again; a refusal is a
    `DeniedError`, a `RevokedError` or an `ExhaustedError`, and then the tool does not run. Whatever fails while that is decided refuses too.

    `target` names what the tool touches, and `path` where, always; `target_from` and `path_from` name the parameter that says so. The argument of
    `path_from` is replaced by the place that it really leads to, an absolute path below the agent's root, or by the open file where `opened` says
    how. `timeout` is 60 seconds unless said otherwise; a tool that is no coroutine runs on a thread of its own where it is given, which is
    left behind when it is late or its agent is revoked, and as long as it takes where not: what it answers is withheld where its agent is known to be
    revoked by then. Where a call needs a person's approval, `waiting` is how long it waits for that before it is refused, and `approval` the id of
    the one that it rests on. `risks` says what there is to fear of it, as `["irreversible"]`, for the conditions of a profile; a call that has some
    believes nothing, and asks the store each time. With `counting_failures=False` the tool may fail without that being held against the agent.
    """

@overload
def govern(
    tool: None = None, /, *, action: str, path_from: Optional[str] = None, opened: None = None, **options: Unpack[_ToolOptions]
) -> Callable[[Callable[_P, _R]], Callable[_P, _R]]: ...
@overload
def govern(
    tool: Callable[..., _R], /, *, action: str, path_from: str, opened: _Mode, **options: Unpack[_ToolOptions]
) -> Callable[..., _R]: ...
@overload
def govern(
    tool: None = None, /, *, action: str, path_from: str, opened: _Mode, **options: Unpack[_ToolOptions]
) -> Callable[[Callable[..., _R]], Callable[..., _R]]: ...
