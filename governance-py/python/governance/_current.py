"""Which agent acts here."""

from contextvars import ContextVar

__all__ = ["current", "enter", "govern", "leave", "unless_besides"]

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


def unless_besides(raised, failed):
    """Raises why leaving failed, unless something is raised already: that goes on, with a note of the other."""
    if raised is None:
        raise failed
    # Python 3.11 and later.
    note = getattr(raised, "add_note", None)
    if note is not None:
        note(f"leaving failed besides: {failed}")


def govern(tool=None, /, *, action, **options):
    # Slow to import, and not needed by who governs none.
    from ._govern import govern, whose

    return govern(whose, tool, action=action, **options)
