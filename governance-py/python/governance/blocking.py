"""Governed state for code that waits: every call answers when it is done, and other threads run meanwhile."""

from . import _governance

__all__ = ["Blackboard", "Governance"]


class Governance(_governance._Governance):
    __slots__ = ()
    _blocking = True

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback, /):
        self.close()


class Blackboard(_governance._Blackboard):
    __slots__ = ()
