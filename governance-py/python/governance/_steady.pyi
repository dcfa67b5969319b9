"""Whether a value reads the same each time: then what was decided on is what the tool is given."""

from typing import Any, Optional

__all__ = ["said", "wavering"]

def said(value: object) -> Optional[tuple[Any]]:
    """What one of the standard library's own values is written as, in a tuple; none if it is something else. A class of one's own may say anything."""

def wavering(value: object) -> Optional[str]:
    """By what a value may read otherwise the next time; none if it cannot."""
