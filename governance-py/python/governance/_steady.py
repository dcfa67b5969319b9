"""Whether a value reads the same each time: then what was decided on is what the tool is given.

Asked only of what is no plain value: a subclass of one, a dataclass, a model, a path.
"""

import collections
import enum
from datetime import date, datetime, time, timezone
from decimal import Decimal
from pathlib import PosixPath, PurePath, WindowsPath
from types import BuiltinFunctionType, MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType
from uuid import UUID
from zoneinfo import ZoneInfo

__all__ = ["said", "wavering"]

PLAIN = (str, bytes, int, float, dict, list, tuple)

# Not to be fooled by what a class says of itself.
mro_of = type.__dict__["__mro__"].__get__
members_of = type.__dict__["__dict__"].__get__

# The standard library's own, which read what is there.
ENUMS = {getattr(enum, name) for name in ("Enum", "ReprEnum", "IntEnum", "StrEnum", "Flag", "IntFlag") if hasattr(enum, name)}
PATHS = {one for path in (PosixPath, WindowsPath) for one in mro_of(path)}
KNOWN = {collections.Counter, *ENUMS, *PATHS}

# What is no code of Python's: the plain type's own again, or a field of a named tuple.
NATIVE = (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType, type(None), type(collections.namedtuple("one", "field").field))

# What makes, changes or keeps a value, or says what it is: nobody reads it by that.
ELSE = frozenset(
    """
    __new__ __init__ __init_subclass__ __subclasshook__ __class_getitem__ __doc__ __module__ __qualname__
    __firstlineno__ __static_attributes__ __annotations__ __dict__ __weakref__ __dir__ __sizeof__ __reduce__ __reduce_ex__ __getnewargs__
    __getstate__ __setstate__ __setattr__ __delattr__ __setitem__ __delitem__ __iadd__ __imul__ __ior__ append extend insert clear update sort reverse remove
    """.split()
)

# Python 3.9 does not say of a class that it is built in otherwise than by this flag's absence.
MADE_HERE = 1 << 9
UNCHANGEABLE = 1 << 8


# Who says how far a time is from UTC; any other class may answer anything.
ZONES = (type(None), timezone, ZoneInfo)


def said(value):
    """What one of the standard library's own values is written as, in a tuple; none if it is something else. A class of one's own may say anything."""
    kind = type(value)
    if kind in (UUID, Decimal):
        return (str(value),)
    if kind is date or kind in (datetime, time) and type(value.tzinfo) in ZONES:
        return (value.isoformat(),)
    if type(kind) is enum.EnumMeta:
        own = [one for one in mro_of(kind) if one is not object and one not in ENUMS]
        reads = ("value", "_value_", "__getattribute__", "__getattr__")
        if not any(name in members_of(one) for one in own for name in reads):
            return (value._value_,)
    return None


def wavering(value):
    """By what a value may read otherwise the next time; none if it cannot."""
    kind = type(value)
    own = [one for one in mro_of(kind) if one.__flags__ & MADE_HERE and not one.__flags__ & UNCHANGEABLE]
    base = next((plain for plain in PLAIN if plain in mro_of(kind)), None)
    if base is not None:
        return overridden(own, base)
    if hasattr(value, "model_dump"):
        return dumped(kind)
    if hasattr(value, "__dataclass_fields__"):
        return fielded(own, kind)
    # A path of somebody else's says itself by a function of theirs.
    return "__fspath__" if own and PurePath not in mro_of(kind) else overridden(own, PurePath)


def overridden(own, base):
    """The first thing that a class does otherwise than its plain type, in Python."""
    quiet = ELSE | {"__repr__"} if base in (dict, list, tuple) else ELSE
    for one in own:
        if one in KNOWN:
            continue
        for name, what in members_of(one).items():
            reads = name in ("__getattr__", "__missing__") or hasattr(base, name) and name not in quiet
            if reads and not isinstance(what, NATIVE) and not any(what is members_of(known).get(name) for known in KNOWN):
                return name
    return None


def fielded(own, kind):
    for one in own:
        for name, what in members_of(one).items():
            if name == "__getattribute__":
                return name
            # A slot is a place; anything else that is asked in a field's name may answer anything.
            if name in kind.__dataclass_fields__ and hasattr(type(what), "__get__") and not isinstance(what, MemberDescriptorType):
                return name
    return None


def dumped(kind):
    try:
        from pydantic import BaseModel
    except ImportError:
        return "model_dump"
    if BaseModel not in mro_of(kind) or kind.model_dump is not BaseModel.model_dump:
        return "model_dump"
    own = [one for one in mro_of(kind) if one not in mro_of(BaseModel)]
    odd = next((name for one in own for name in members_of(one) if name in ("__getattribute__", "__getattr__")), None)
    decorators = kind.__pydantic_decorators__
    # What they write is not what the tool reads.
    return odd or next(iter({**decorators.field_serializers, **decorators.model_serializers}), None)
