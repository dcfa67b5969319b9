"""Checks before work begins, made here: the core asks for each, and is told what it found."""

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Callable, Mapping
from typing import Any, Optional, Protocol

from ._govern import kind_of
from ._governance import InvalidError, _Check

__all__ = ["awaited", "waited"]


class _Preflight(Protocol):
    def next(self) -> Any: ...


class _Agent(Protocol):
    def _preflight(self, checks: list[tuple[str, Any]], within: Any) -> _Preflight: ...


async def awaited(agent: _Agent, checks: Mapping[str, Any], within: Any) -> Any:
    """A preflight, with a coroutine as a task and any other check on a thread of its own. What is late has failed, and is cancelled."""
    checks = dict(checks)
    preflight = agent._preflight(known(checks), within)
    making: "Optional[asyncio.Task[None]]" = None
    try:
        while isinstance(asked := await preflight.next(), _Check):
            if making is not None:
                making.cancel()
            making = begun(asked, checks[asked.name])
    finally:
        if making is not None:
            making.cancel()
    return asked


def waited(agent: _Agent, checks: Mapping[str, Any], within: Any) -> Any:
    """The same, each check on a thread of its own, which is left alone when it is late."""
    checks = dict(checks)
    preflight = agent._preflight(known(checks), within)
    while isinstance(asked := preflight.next(), _Check):
        beside(asked, checks[asked.name])
    return asked


def known(checks: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Each by its name: what it looks at, or none where it is made here."""
    for name, check in checks.items():
        if check is None:
            error = InvalidError(f"the value does not fit: the check `{name}` is a function, or says what to look at")
            error.code = "wrong_shape"
            raise error
    return [(name, None if callable(check) else check) for name, check in checks.items()]


def begun(asked: _Check, check: Callable[[], Any]) -> "Optional[asyncio.Task[None]]":
    if kind_of(check) == "coroutine":
        return asyncio.ensure_future(made(asked, check))
    beside(asked, check)
    return None


async def made(asked: _Check, check: Callable[[], Any]) -> None:
    try:
        why = found(await check())
    except Exception as error:
        why = failed(error)
    asked.tell(why)


def beside(asked: _Check, check: Callable[[], Any]) -> None:
    context = contextvars.copy_context()

    def answered() -> Any:
        answer = check()
        # Somebody's coroutine after all: on a loop of its own.
        return asyncio.run(answer) if inspect.iscoroutine(answer) else answer

    def make() -> None:
        try:
            why = found(context.run(answered))
        except BaseException as error:
            why = failed(error)
        asked.tell(why)

    threading.Thread(target=make, name="governance-check", daemon=True).start()


def found(answer: Any) -> Optional[str]:
    """Why a check fails that answered this; none if it does not."""
    if answer is None or answer is True:
        return None
    return answer if isinstance(answer, str) else f"the check answered {answer!r}"


def failed(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
