"""Governed state for asyncio: every call answers a coroutine."""

from . import _governance
from ._current import enter, govern, leave
from ._governance import RevokedError

__all__ = [
    "Agent",
    "Allowance",
    "Approvals",
    "Blackboard",
    "Consensus",
    "ErrorBudget",
    "Governance",
    "Ledger",
    "MessageBus",
    "Model",
    "Policies",
    "RevocationEngine",
    "Step",
    "govern",
]


class Governance(_governance._Governance):
    __slots__ = ()
    _blocking = False

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, traceback, /):
        await self.close()


class Blackboard(_governance._Blackboard):
    __slots__ = ()


class MessageBus(_governance._MessageBus):
    __slots__ = ()


class ErrorBudget(_governance._ErrorBudget):
    __slots__ = ()


class Allowance(_governance._Allowance):
    __slots__ = ()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, traceback, /):
        await self.close()


class Approvals(_governance._Approvals):
    __slots__ = ()


class Policies(_governance._Policies):
    __slots__ = ()


class RevocationEngine(_governance._RevocationEngine):
    __slots__ = ()


class Consensus(_governance._Consensus):
    __slots__ = ()


class Ledger(_governance._Ledger):
    __slots__ = ()


class Agent(_governance._Agent):
    __slots__ = ("_entered",)
    _blocking = False

    def govern(self, tool=None, /, *, action, target=None, target_from=None, path=None, path_from=None, opened=None, timeout=None, waiting=None, approval=None):
        from ._govern import govern

        sources = {"target": target, "target_from": target_from, "path": path, "path_from": path_from}
        rest = {"opened": opened, "timeout": timeout, "waiting": waiting, "approval": approval}
        return govern(lambda: self, tool, action=action, **sources, **rest)

    async def __aenter__(self):
        self._entered = enter(self)
        return self

    async def __aexit__(self, kind, value, traceback, /):
        leave(self._entered)
        try:
            await self.leave()
        except RevokedError:
            # Who is revoked holds nothing any more.
            pass


class Step(_governance._Step):
    __slots__ = ()

    async def __aenter__(self):
        return self

    async def __aexit__(self, kind, value, traceback, /):
        if self._reported:
            return False
        if value is None:
            await self.done()
            return False
        if not isinstance(value, Exception) or isinstance(value, RevokedError):
            return False
        await self.failed(getattr(value, "code", None) or kind.__name__, str(value))
        return True


class Model(_governance._Model):
    __slots__ = ()
