"""What an asynchronous call answers: coroutines, so that tasks and groups of them take it."""

from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Optional, Protocol, TypeVar, Union, overload
from weakref import WeakKeyDictionary

from ._governance import _Desk


if TYPE_CHECKING:
    # Not needed by who does not wait for it, and slow to import.
    from asyncio import AbstractEventLoop, Future


class _Managed(Protocol):
    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> Optional[bool]: ...


T = TypeVar("T")
R = TypeVar("R", covariant=True)
M = TypeVar("M", bound=_Managed)


class _Call(Protocol[R]):
    def begin(self) -> "Optional[Future[None]]": ...
    def answer(self) -> R: ...
    def end(self) -> None: ...


async def coroutine(call: _Call[T]) -> T:
    """Begins a call when it is first awaited."""
    waiting = call.begin()
    if waiting is not None:
        try:
            await waiting
        except BaseException:
            call.end()
            raise
    return call.answer()


_desks: "WeakKeyDictionary[AbstractEventLoop, _Desk]" = WeakKeyDictionary()


def desk(loop: "AbstractEventLoop") -> _Desk:
    """Where a loop finds out which of its calls are answered."""
    known = _desks.get(loop)
    if known is None or not known.is_ours():
        _desks[loop] = known = _Desk()
        loop.add_reader(known, _settle, known)
    return known


def _settle(desk: _Desk) -> None:
    # Not in native code: the interpreter may end in the middle of it.
    for future in desk.collect():
        if not future.done():
            future.set_result(None)


class Opening(Coroutine[Any, Any, M], Generic[M]):
    """Something that is being opened: await it, or enter it with `async with`, which closes it again."""

    __slots__ = ("_coroutine", "_opened")

    def __init__(self, coroutine: Coroutine[Any, Any, M]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, M]:
        return self._coroutine.__await__()

    async def __aenter__(self) -> M:
        self._opened = await self._coroutine
        await self._opened.__aenter__()
        return self._opened

    async def __aexit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> Optional[bool]:
        return await self._opened.__aexit__(kind, value, traceback)

    def send(self, value: Any, /) -> Any:
        return self._coroutine.send(value)

    @overload
    def throw(self, kind: type[BaseException], value: Union[BaseException, object] = ..., traceback: Optional[TracebackType] = ..., /) -> Any: ...
    @overload
    def throw(self, kind: BaseException, value: None = ..., traceback: Optional[TracebackType] = ..., /) -> Any: ...
    def throw(self, kind: Any, value: Any = None, traceback: Optional[TracebackType] = None, /) -> Any:
        return self._coroutine.throw(kind, value, traceback) if value or traceback else self._coroutine.throw(kind)

    def close(self) -> None:
        self._coroutine.close()
