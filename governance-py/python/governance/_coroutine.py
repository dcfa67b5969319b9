"""What an asynchronous call answers: coroutines, so that tasks and groups of them take it."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Optional, Protocol, TypeVar, Union, overload


if TYPE_CHECKING:
    # Not needed by who does not wait for it, and slow to import.
    from asyncio import Future


class _Managed(Protocol):
    async def __aenter__(self) -> Any: ...
    async def __aexit__(
        self, kind: Optional[type[BaseException]], value: Optional[BaseException], traceback: Optional[TracebackType], /
    ) -> Optional[bool]: ...


T = TypeVar("T")
M = TypeVar("M", bound=_Managed)


async def coroutine(begin: Callable[[], Awaitable[T]]) -> T:
    """Begins a call when it is first awaited."""
    return await begin()


def complete(future: "Future[T]", settle: Callable[[T], None], value: T) -> None:
    """Hands a value to who awaits it, unless they do not any more."""
    if not future.done():
        settle(value)


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
