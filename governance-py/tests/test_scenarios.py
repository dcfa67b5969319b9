"""The stories of tests/scenarios, told in both modes."""

import asyncio
import dataclasses
import inspect
import json
import re
from datetime import datetime, timezone
from enum import Enum
from pathlib import Path
from typing import Any, Callable, Union

import pytest

import governance
import governance.blocking

ROOT = Path(__file__).parents[2] / "tests"
SURFACE: dict[str, dict[str, Any]] = json.loads((ROOT / "surface.json").read_text())
STORIES = sorted(path for path in (ROOT / "scenarios").glob("*.json") if path.name != "elsewhere.json")
PARTS = ("opens", "methods", "checks", "streams")
MEMBERS = [(kind, name) for kind, parts in SURFACE.items() for part in (*PARTS, "properties") for name in parts.get(part, ())]
# What the stories give in milliseconds is seconds here.
SPANS = ("within", "ttl", "span", "redeliver_after", "took")
# What is a word of the language has another name.
NAMES = {"sender": "from", "from_tier": "from", "to_tier": "to"}

Ask = Callable[[Any], Any]


def plain(value: Any) -> Any:
    """An answer as the core's JSON has it."""
    if isinstance(value, (str, int, float, type(None))):
        return value.value if isinstance(value, Enum) else value
    if isinstance(value, datetime):
        return round(value.timestamp() * 1000)
    if isinstance(value, governance.Variant):
        ((name, said),) = [(name, said) for name, said in vars(value).items() if said is not None and said is not False]
        return name if said is True else {name: plain(said)}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    names = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    names += [name for name, of in inspect.getmembers(type(value)) if inspect.isdatadescriptor(of) and not name.startswith("_")]
    fields = {NAMES.get(name, name): plain(getattr(value, name)) for name in names}
    return {name: round(said * 1000) if name in SPANS else said for name, said in fields.items()}


def matches(found: Any, expected: Any, at: str) -> None:
    if isinstance(expected, dict):
        assert isinstance(found, dict), f"{at}: {found}"
        for name, value in expected.items():
            matches(found.get(name), value, f"{at}.{name}")
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected), f"{at}: {found}"
        for index, value in enumerate(expected):
            matches(found[index], value, f"{at}.{index}")
    else:
        assert (found, type(found)) == (expected, type(expected)), at


def check(said: Any) -> Any:
    """A text is what a check answers that the story makes, if it does not pass."""
    return (lambda: None if said == "passes" else said) if isinstance(said, str) else said


def filled(value: Any, saved: dict[str, Any]) -> Any:
    """A step's arguments with what was saved before."""
    if isinstance(value, dict) and "$saved" in value:
        name, *path = value["$saved"].split(".")
        found = saved[name]
        for part in path:
            found = found[int(part)] if part.isdigit() else found[part] if isinstance(found, dict) else getattr(found, part)
        return found
    if isinstance(value, dict):
        return {name: filled(item, saved) for name, item in value.items()}
    return [filled(item, saved) for item in value] if isinstance(value, list) else value


def ask(handle: Any, member: str, step: dict[str, Any], told: set[str]) -> Any:
    kind = type(handle).__name__
    told.add(f"{kind}.{member}")
    if member in SURFACE[kind].get("properties", ()):
        return getattr(handle, member)
    parameters = next(SURFACE[kind][part][member] for part in PARTS if member in SURFACE[kind].get(part, {}))
    given = {name: value / 1000 if name in SPANS else value for name, value in step.get("with", {}).items()}
    if "checks" in given:
        given["checks"] = {name: check(said) for name, said in given["checks"].items()}
    if "deadline" in given:
        given["deadline"] = datetime.fromtimestamp(given["deadline"] / 1000, timezone.utc)
    needed = [given.pop(name) for name in parameters if not name.endswith("?")]
    assert set(given) <= {name.rstrip("?") for name in parameters}, f"{kind}.{member} has no {set(given)}"
    return getattr(handle, member)(*needed, **given)


async def told_async(answer: Any, take: Union[int, None]) -> Any:
    if take is None:
        return await answer if inspect.isawaitable(answer) else answer
    items: list[Any] = []
    while len(items) < take:
        items.append(await asyncio.wait_for(answer.__anext__(), 10))
    return items


async def told_blocking(answer: Any, take: Union[int, None]) -> Any:
    assert not inspect.isawaitable(answer)
    return answer if take is None else [next(answer) for _ in range(take)]


async def tell(story: dict[str, Any], gov: Any, read: Callable[[Any, Union[int, None]], Any], told: set[str]) -> None:
    told |= {"Governance.open", "Governance.close"}
    handles: dict[str, Any] = {"gov": gov}
    saved: dict[str, Any] = {}
    for name, (call, *named) in story.get("open", {}).items():
        handles[name] = await read(ask(gov, call.split(".")[1], {"with": named[0] if named else {}}, told), None)
    for number, step in enumerate(story["steps"]):
        at = f"step {number + 1}, {step['call']}"
        handle, member = step["call"].split(".")

        async def asked() -> Any:
            return await read(ask(handles[handle], member, filled(step, saved), told), step.get("take"))

        if "fails" in step:
            with pytest.raises(governance.GovernanceError) as failed:
                await asked()
            assert type(failed.value) is not governance.GovernanceError
            matches({"kind": failed.value.kind, "code": failed.value.code}, step["fails"], f"{at}: {failed.value}")
            continue
        answer = await asked()
        if "gives" in step:
            matches(plain(answer), step["gives"], at)
        saved[step.get("save", "")] = handles[step.get("save_as_handle", "")] = answer


TOLD: dict[str, set[str]] = {"async": set(), "blocking": set()}


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_awaited(path: Path, home: Path) -> None:
    async def main() -> None:
        async with governance.Governance.open(home=home) as gov:
            await tell(json.loads(path.read_text()), gov, told_async, TOLD["async"])

    asyncio.run(main())


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_waited_for(path: Path, home: Path) -> None:
    with governance.blocking.Governance.open(home=home) as gov:
        asyncio.run(tell(json.loads(path.read_text()), gov, told_blocking, TOLD["blocking"]))


@pytest.mark.parametrize("mode", ["async", "blocking"])
def test_every_member_of_the_surface_occurs_in_a_story_or_its_test_is_named(mode: str) -> None:
    elsewhere = json.loads((ROOT / "scenarios/elsewhere.json").read_text())
    assert [".".join(member) for member in MEMBERS if not {".".join(member)} & (TOLD[mode] | set(elsewhere))] == []


@pytest.mark.parametrize("package", [governance, governance.blocking], ids=["async", "blocking"])
def test_the_whole_surface_is_here_and_declared(package: Any) -> None:
    stub = Path(package.__file__).with_name("_handles.pyi" if package is governance else "blocking.pyi").read_text()
    bodies = dict(re.findall(r"\nclass (\w+):\n(.*?)(?=\n@final\n|\Z)", stub, re.S))
    for kind, name in MEMBERS:
        assert hasattr(getattr(package, kind), name), f"{kind}.{name}"
        assert re.search(rf"\n    (async )?def {name}\(", bodies[kind]), f"the stub lacks {kind}.{name}"
