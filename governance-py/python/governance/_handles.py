"""The asynchronous classes: every call answers a coroutine."""

from types import TracebackType
from typing import Optional

from . import _governance


class Governance(_governance._Governance):
    __slots__ = ()
    _blocking = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, traceback, /):
        await self.close()


class Blackboard(_governance._Blackboard):
    __slots__ = ()
