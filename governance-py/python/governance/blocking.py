"""Governed state for code that waits: every call answers when it is done, and other threads run meanwhile."""

from ._governance import Blackboard, BoardEntry, Governance, Written

__all__ = ["Blackboard", "BoardEntry", "Governance", "Written"]
