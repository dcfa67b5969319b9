"""Which agent acts here."""

from contextvars import ContextVar

__all__ = ["current", "enter", "govern", "leave"]

# Set while an agent is entered.
current = ContextVar("governance.agent")


def enter(agent):
    return current.set(agent)


def leave(entered):
    try:
        current.reset(entered)
    except ValueError:
        # Left in another context than it was entered in: there it is not seen any more.
        pass


def govern(
    tool=None,
    /,
    *,
    action,
    target=None,
    target_from=None,
    path=None,
    path_from=None,
    opened=None,
    timeout=None,
    waiting=None,
    approval=None,
):
    # Slow to import, and not needed by who governs none.
    from ._govern import govern, whose

    sources = {"target": target, "target_from": target_from, "path": path, "path_from": path_from}
    return govern(whose, tool, action=action, **sources, opened=opened, timeout=timeout, waiting=waiting, approval=approval)
