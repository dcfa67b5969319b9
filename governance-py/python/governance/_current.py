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
    tool=None, /, *, action, target=None, target_from=None, path=None, path_from=None, opened=None, timeout=None
):
    # Slow to import, and not needed by who governs none.
    from ._govern import govern, whose

    return govern(
        whose, tool, action=action, target=target, target_from=target_from, path=path, path_from=path_from, opened=opened, timeout=timeout
    )
