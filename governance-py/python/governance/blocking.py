"""Governed state for code that waits: every call answers when it is done, and other threads run meanwhile."""

from . import _governance

__all__ = [
    "Allowance",
    "Blackboard",
    "Consensus",
    "ErrorBudget",
    "Governance",
    "Ledger",
    "MessageBus",
    "RevocationEngine",
]


class Governance(_governance._Governance):
    __slots__ = ()
    _blocking = True

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback, /):
        self.close()


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
        self.close()


class RevocationEngine(_governance._RevocationEngine):
    __slots__ = ()


class Consensus(_governance._Consensus):
    __slots__ = ()


class Ledger(_governance._Ledger):
    __slots__ = ()
