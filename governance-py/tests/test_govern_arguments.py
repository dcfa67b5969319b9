"""A call is known by what its arguments say; what can say something else the next time is refused."""

import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import hashlib
import time
import uuid
from pathlib import Path
from typing import Any, Iterator, NamedTuple

import pydantic
import pytest

import governance
from governance import govern
from searching import Opened, search


def test_what_says_the_same_has_the_same_digest(searcher: Opened) -> None:
    @govern(action="web.search")
    def anything(a: Any, b: Any = None) -> None: ...

    anything(1, {"y": [True, None], "x": 0.5})
    anything(b={"x": 0.5, "y": (True, None)}, a=1)
    anything(Path("notes/é"), b'\x00"')
    digests = [said["arguments"] for kind, _, said in searcher.told() if kind == "intent"]
    assert digests[0] == digests[1] != digests[2]
    canonical = '{"a":"notes/é","b":{"bytes":"0022"}}'
    assert digests[2] == hashlib.sha256(canonical.encode()).hexdigest()


def test_arguments_that_cannot_be_said_are_refused_by_their_name(searcher: Opened) -> None:
    ran = []

    def take(query: Any) -> None:
        ran.append(query)

    tool: Any = govern(take, action="web.search")
    loop: list[Any] = []
    loop.append(loop)
    for odd in (object(), float("nan"), 2**70, loop, "\ud800", {1: 2}):
        with pytest.raises(governance.InvalidError, match="`query`") as refused:
            tool(odd)
        assert refused.value.code == "not_json"
    wrong: list[tuple[tuple[Any, ...], dict[str, Any]]] = [((), {}), ((1, 2), {}), ((), {"quary": 1}), ((1,), {"query": 2})]
    for args, kwargs in wrong:
        with pytest.raises(TypeError):
            tool(*args, **kwargs)
    assert ran == []


def test_what_is_changed_while_it_is_decided_is_not_run(searcher: Opened) -> None:
    ran = []

    @govern(action="web.search")
    async def search(query: dict[str, str]) -> None:
        ran.append(query)

    async def story() -> None:
        query = {"text": "cats"}
        # What is known of the agent is too old by then, so that the store is asked.
        await asyncio.sleep(1.1)
        searching = asyncio.ensure_future(search(query))
        await asyncio.sleep(0)
        query["text"] = "secrets"
        with pytest.raises(governance.DeniedError) as changed:
            await searching
        assert (changed.value.code, ran) == ("arguments_changed", [])

    asyncio.run(story())
    assert searcher.ends() == [("error", "arguments_changed")]


class Sly(str):
    def __str__(self) -> str:
        return "prod-1"


class SlyNumber(int):
    def __index__(self) -> int:
        return 0


class SlyDict(dict[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return "prod-1"


class SlyList(list[Any]):
    def __iter__(self) -> Iterator[Any]:
        return iter(["prod-1"])


class SlyModel:
    asked = 0

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        self.asked += 1
        return {"host": "sandbox-1" if self.asked == 1 else "prod-1"}


class SlyPath:
    def __fspath__(self) -> str:
        return "sandbox-1"


@dataclasses.dataclass
class SlyFields:
    host: str


setattr(SlyFields, "host", property(lambda _: "sandbox-1", lambda _, said: None))


class Serialized(pydantic.BaseModel):
    host: str

    @pydantic.field_serializer("host")
    def said(self, host: str) -> str:
        return "sandbox-1"


SLY: list[Any] = [
    Sly("sandbox-1"), SlyNumber(1), SlyDict(host="sandbox-1"), SlyList(["sandbox-1"]), SlyModel(), SlyPath(), SlyFields("prod-1"),
    Serialized(host="prod-1"), {"deep": [Sly("sandbox-1")]}, {Sly("sandbox-1"): 1},
]  # fmt: skip


@pytest.mark.parametrize("given", SLY, ids=lambda given: type(given).__name__)
def test_what_can_read_differently_the_next_time_is_refused(searcher: Opened, given: Any) -> None:
    ran = []

    def write(host: Any) -> None:
        ran.append(host)

    async def later(host: Any) -> None:
        ran.append(host)

    for tool in (write, later):
        with pytest.raises(governance.InvalidError, match="`host`") as refused:
            answered: Any = govern(tool, action="web.search")(given)
            asyncio.run(answered)
        assert refused.value.code == "unsteady_argument"
    assert ran == [] and searcher.told() == []


def test_a_target_that_is_a_default_reads_the_same_too(searcher: Opened) -> None:
    def write(text: str, host: str = Sly("sandbox-1")) -> None:
        raise AssertionError(host)

    with pytest.raises(governance.InvalidError) as refused:
        govern(write, action="write_file", target_from="host")("hello")
    assert refused.value.code == "unsteady_argument" and searcher.told() == []


class Colour(str, enum.Enum):
    RED = "red"


class Flags(enum.IntFlag):
    A = 1
    B = 2


class Place(NamedTuple):
    host: str
    many: int


@dataclasses.dataclass
class Fields:
    host: str


class Model(pydantic.BaseModel):
    host: str


PLAIN: list[Any] = [
    Colour.RED, governance.Tier.T1, Place("sandbox-1", 3), Fields("sandbox-1"), Model(host="sandbox-1"), Path("a"), collections.OrderedDict(a=1),
    collections.Counter("ab"), Flags.A | Flags.B,
]  # fmt: skip


@pytest.mark.parametrize("given", PLAIN, ids=lambda given: type(given).__name__)
def test_what_only_has_a_name_of_its_own_is_taken_as_it_is(searcher: Opened, given: Any) -> None:
    ran = []
    govern(lambda host: ran.append(host), action="web.search")(given)
    assert len(ran) == 1 and ran[0] is given


class Level(enum.Enum):
    HIGH = ("high", 3)


class SlyLevel(enum.Enum):
    HIGH = 1

    @property
    def value(self) -> Any:
        return time.monotonic()


class SlyDate(datetime.date):
    def isoformat(self) -> str:
        return "sandbox-1"


class SlyZone(datetime.tzinfo):
    def utcoffset(self, _: Any) -> datetime.timedelta:
        return datetime.timedelta(0)

    dst = utcoffset

    def tzname(self, _: Any) -> str:
        return "its own"


NOON = datetime.datetime(2026, 11, 22, 12, tzinfo=datetime.timezone.utc)


def test_dates_enums_ids_and_decimals_are_recorded_as_what_they_say(searcher: Opened) -> None:
    taken: list[Any] = []

    def take(at: Any) -> None:
        taken.append(at)

    tool = govern(take, action="web.search")
    one = uuid.UUID(int=1)
    said = [
        (NOON, '"2026-11-22T12:00:00+00:00"'), (NOON.replace(tzinfo=None), '"2026-11-22T12:00:00"'), (NOON.date(), '"2026-11-22"'), (NOON.timetz(), '"12:00:00+00:00"'),
        (one, f'"{one}"'), (decimal.Decimal("1.10"), '"1.10"'), (Level.HIGH, '["high",3]'), ([Level.HIGH], '[["high",3]]'),
    ]  # fmt: skip
    for value, _ in said:
        tool(value)
    assert taken == [value for value, _ in said]
    digests = [told["arguments"] for kind, _, told in searcher.told() if kind == "intent"]
    assert digests == [hashlib.sha256(f'{{"at":{text}}}'.encode()).hexdigest() for _, text in said]
    for odd in (SlyDate(2026, 11, 22), NOON.replace(tzinfo=SlyZone()), SlyLevel.HIGH, {1, 2}):
        with pytest.raises(governance.InvalidError) as refused:
            tool(odd)
        assert refused.value.code == "not_json"
