"""Governing a tool: the same function, but each call of it is decided, recorded, checked again, run, and recorded again."""

import asyncio
import contextvars
import inspect
import os
import threading
from functools import wraps
from time import monotonic

from . import _governance
from ._current import current
from ._governance import DeniedError, GovernanceError

__all__ = ["govern", "kind_of", "whose"]

# How long a tool runs before its time and its agent's admission are watched: most are done by then.
LOOK = 0.1
# How long a tool that was cancelled may still tidy up.
GRACE = 1.0

MODES = ("r", "rb", "w", "wb", "x", "xb")


def govern(whose, tool, /, *, action, opened=None, **options):
    """A tool, governed for the agent that `whose` answers; a decorator where there is no tool yet. The options are those that `_Tool` takes."""

    def one(tool):
        return governed(tool, whose, action, opened, options)

    return one if tool is None else one(tool)


def whose():
    agent = current.get(None)
    if agent is None:
        denied = DeniedError("no agent acts here: call the tool inside `with governance.agent(…)`, or govern it by `agent.govern`")
        denied.code = "no_agent"
        raise denied
    return agent


def governed(tool, whose, action, opened, options):
    path_from, timeout = options.get("path_from"), options.get("timeout")
    if opened is not None and (opened not in MODES or path_from is None):
        raise unclear(f"`opened` is one of {', '.join(MODES)}, and needs `path_from`")
    described = describe(tool, action, options)
    resolved = Resolved(tool, path_from, opened) if path_from is not None else None
    kind = kind_of(tool)
    if kind == "async generator":
        return streamed(tool, whose, described, resolved)
    if kind == "coroutine":
        return awaited(tool, whose, described, resolved)
    if kind == "generator":
        return iterated(tool, whose, described, resolved, timeout)
    return waited(tool, whose, described, resolved, timeout)


def describe(tool, action, options):
    positional, named, rest, others, only, defaults = [], [], None, None, 0, {}
    for name, of in inspect.signature(tool).parameters.items():
        if of.kind in (of.POSITIONAL_ONLY, of.POSITIONAL_OR_KEYWORD):
            positional.append(name)
            only += of.kind is of.POSITIONAL_ONLY
        elif of.kind is of.KEYWORD_ONLY:
            named.append(name)
        elif of.kind is of.VAR_POSITIONAL:
            rest = name
        else:
            others = name
        if of.default is not of.empty:
            defaults[name] = of.default
    skipped = 1 if positional[:1] in (["self"], ["cls"]) else 0
    return _governance._Tool(action, positional, only, skipped, named, rest, others, defaults, **options)


def kind_of(tool):
    for kind, test in (
        ("async generator", inspect.isasyncgenfunction),
        ("coroutine", inspect.iscoroutinefunction),
        ("generator", inspect.isgeneratorfunction),
    ):
        # An object that is called like a function is what its call is.
        if test(tool) or test(getattr(type(tool), "__call__", None)):
            return kind
    return "function"


def unclear(why):
    error = _governance.InvalidError(why)
    error.code = "unclear_tool"
    return error


class Resolved:
    """Puts the place that was checked where the path was that was asked for."""

    def __init__(self, tool, name, opened):
        names = list(inspect.signature(tool).parameters)
        self.name, self.opened = name, opened
        of = inspect.signature(tool).parameters.get(name)
        self.place = names.index(name) if of is not None and of.kind in (of.POSITIONAL_ONLY, of.POSITIONAL_OR_KEYWORD) else None

    def put(self, call, args, kwargs):
        """The arguments, and the file that is to be closed."""
        if self.opened is None:
            value, file = os.fspath(call.path), None
        else:
            mode = self.opened.replace("x", "w")
            value = file = os.fdopen(call.open(self.opened), mode, encoding=None if "b" in mode else "utf-8")
        if self.place is not None and self.place < len(args):
            return (*args[: self.place], value, *args[self.place + 1 :]), kwargs, file
        return args, {**kwargs, self.name: value}, file


def placed(call, resolved, args, kwargs):
    if resolved is None:
        return args, kwargs, None
    try:
        return resolved.put(call, args, kwargs)
    except BaseException as error:
        call.raised(error)
        raise


def close(file):
    if file is not None:
        file.close()


def waited(tool, whose, described, resolved, timeout):
    def run(call, args, kwargs):
        args, kwargs, file = placed(call, resolved, args, kwargs)
        try:
            return tool(*args, **kwargs) if timeout is None else beside(call, tool, args, kwargs)
        finally:
            close(file)

    if resolved is None and timeout is None:
        run = None

    @wraps(tool)
    def call_it(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or agent._begin(described, args, kwargs)
        try:
            result = tool(*args, **kwargs) if run is None else run(call, args, kwargs)
        except BaseException as error:
            call.raised(error)
            raise
        if hasattr(result, "__await__"):
            # It was no function that waits after all: its call goes on until it was awaited.
            return carried(call, result)
        call.done()
        return result

    return call_it


def beside(call, tool, args, kwargs):
    """Runs a tool on a thread of its own, which is left alone when its time is over."""
    ended, told = threading.Event(), []
    context = contextvars.copy_context()

    def work():
        try:
            told.append((context.run(tool, *args, **kwargs), None))
        except BaseException as error:
            told.append((None, error))
        finally:
            ended.set()

    threading.Thread(target=work, name="governance-tool", daemon=True).start()
    if not ended.wait(call.time):
        call.late()
    result, error = told[0]
    if error is not None:
        raise error
    return result


def iterated(tool, whose, described, resolved, timeout):
    @wraps(tool)
    def iterate(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or agent._begin(described, args, kwargs)
        args, kwargs, file = placed(call, resolved, args, kwargs)
        until = monotonic() + call.time if timeout is not None else None
        pieces = tool(*args, **kwargs)
        try:
            for piece in pieces:
                if until is not None and monotonic() > until:
                    call.late()
                call.is_admitted() or call.check()
                yield piece
        except GeneratorExit:
            call.lost("cancelled")
            raise
        except BaseException as error:
            call.raised(error)
            raise
        finally:
            pieces.close()
            close(file)
        call.done()

    return iterate


def awaited(tool, whose, described, resolved):
    @wraps(tool)
    async def call_it(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or await agent._ask_begin(described, args, kwargs)
        args, kwargs, file = placed(call, resolved, args, kwargs)
        try:
            return await carried(call, tool(*args, **kwargs))
        finally:
            close(file)

    return call_it


async def carried(call, work):
    """Awaits a tool to its end, or until its call has to end."""
    task = asyncio.ensure_future(work)
    try:
        await watched(call, task)
    except BaseException as error:
        call.lost(error.code if isinstance(error, GovernanceError) else "cancelled")
        await ended(task)
        raise
    try:
        result = task.result()
    except BaseException as error:
        call.raised(error)
        raise
    call.done()
    return result


async def watched(call, task):
    """Waits for a task, and raises why it has to end before it does."""
    time = call.time
    gone = min(time, LOOK)
    done, _ = await asyncio.wait({task}, timeout=gone)
    if done:
        return
    over = asyncio.ensure_future(call.over(gone))
    try:
        done, _ = await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
        if task not in done:
            over.result()
    finally:
        over.cancel()


async def ended(task):
    """Cancels a task, and waits a moment for it to tidy up. One that ignores that is left alone."""
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE)
    if task.done() and not task.cancelled():
        # Seen: nobody else asks for it.
        task.exception()


def streamed(tool, whose, described, resolved):
    @wraps(tool)
    async def stream(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or await agent._ask_begin(described, args, kwargs)
        args, kwargs, file = placed(call, resolved, args, kwargs)
        pump = Pump(tool(*args, **kwargs))
        over = None
        try:
            over = asyncio.ensure_future(call.over(0))
            while True:
                coming = pump.next()
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if over.done():
                    call.lost(over.exception().code)
                    over.result()
                piece = coming.result()
                if piece is Pump.END:
                    break
                call.is_admitted() or await asked(call)
                yield piece
        except (GeneratorExit, asyncio.CancelledError):
            call.lost("cancelled")
            raise
        except BaseException as error:
            call.raised(error)
            raise
        finally:
            if over is not None:
                over.cancel()
            await pump.end()
            close(file)
        call.done()

    return stream


async def asked(call):
    try:
        await call.ask()
    except GovernanceError as error:
        call.lost(error.code)
        raise


class Pump:
    """Runs an asynchronous generator in one task of its own, piece by piece as they are asked for."""

    END = object()

    def __init__(self, pieces):
        self.wanted = asyncio.Event()
        self.coming = None
        self.task = asyncio.ensure_future(self.run(pieces))

    def next(self):
        self.coming = asyncio.get_running_loop().create_future()
        if self.task.done():
            self.coming.set_result(Pump.END)
        self.wanted.set()
        return self.coming

    async def run(self, pieces):
        try:
            await self.asked()
            async for piece in pieces:
                self.tell(piece)
                await self.asked()
            self.tell(Pump.END)
        except Exception as error:
            if not self.coming.done():
                self.coming.set_exception(error)
        finally:
            await pieces.aclose()

    async def asked(self):
        await self.wanted.wait()
        self.wanted.clear()

    def tell(self, piece):
        if not self.coming.done():
            self.coming.set_result(piece)

    async def end(self):
        if not self.task.done():
            await ended(self.task)
        if self.coming is None or self.coming.cancel():
            return
        if not self.coming.cancelled():
            # Seen: nobody else asks for it.
            self.coming.exception()
