"""Whether a value reads the same each time: then what was decided on is what the tool is given."""

from typing import Optional

__all__ = ["wavering"]

def wavering(value: object) -> Optional[str]:
    """By what a value may read otherwise the next time; none if it cannot."""
