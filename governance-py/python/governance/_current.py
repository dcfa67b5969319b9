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


def govern(tool=None, /, *, action, **options):
    # Slow to import, and not needed by who governs none.
    from ._govern import govern, whose

    return govern(whose, tool, action=action, **options)
