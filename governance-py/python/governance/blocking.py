"""Governed state for code that waits: every call answers when it is done, and other threads run meanwhile."""

from . import _governance
from ._current import enter, govern, leave, unless_besides
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
    "Limits",
    "MessageBus",
    "Model",
    "Policies",
    "Promotions",
    "RevocationEngine",
    "Step",
    "govern",
]


class Governance(_governance._Governance):
    __slots__ = ()
    _blocking = True

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback, /):
        try:
            self.close()
        except Exception as failed:
            unless_besides(value, failed)


class Blackboard(_governance._Blackboard):
    __slots__ = ()


class MessageBus(_governance._MessageBus):
    __slots__ = ()


class ErrorBudget(_governance._ErrorBudget):
    __slots__ = ()


class Allowance(_governance._Allowance):
    __slots__ = ()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback, /):
        try:
            self.close()
        except Exception as failed:
            unless_besides(value, failed)


class Approvals(_governance._Approvals):
    __slots__ = ()


class Policies(_governance._Policies):
    __slots__ = ()


class Promotions(_governance._Promotions):
    __slots__ = ()


class Limits(_governance._Limits):
    __slots__ = ()


class RevocationEngine(_governance._RevocationEngine):
    __slots__ = ()


class Consensus(_governance._Consensus):
    __slots__ = ()


class Ledger(_governance._Ledger):
    __slots__ = ()


class Agent(_governance._Agent):
    __slots__ = ("_entered",)
    _blocking = True

    def govern(self, tool=None, /, *, action, **options):
        from ._govern import govern

        return govern(lambda: self, tool, action=action, **options)

    def preflight(self, checks, *, within=None):
        from ._preflight import waited

        return waited(self, checks, within)

    def __enter__(self):
        self._entered = enter(self)
        return self

    def __exit__(self, kind, value, traceback, /):
        leave(self._entered)
        try:
            self.leave()
        except RevokedError:
            # Who is revoked holds nothing any more.
            pass
        except Exception as failed:
            # What was closed has let go of everything already.
            if getattr(failed, "code", None) != "closed":
                unless_besides(value, failed)


class Step(_governance._Step):
    __slots__ = ()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback, /):
        if self._reported:
            return False
        if value is None:
            self.done()
            return False
        if not isinstance(value, Exception) or isinstance(value, RevokedError):
            return False
        self.failed(getattr(value, "code", None) or kind.__name__, str(value))
        return True


class Model(_governance._Model):
    __slots__ = ()
