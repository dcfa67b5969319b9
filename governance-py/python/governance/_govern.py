"""Governing a tool: the same function, but each call of it is decided, recorded, checked again, run, and recorded again."""

import asyncio
import contextvars
import inspect
import os
import threading
from functools import partial, wraps
from time import monotonic
from types import AsyncGeneratorType, GeneratorType

from . import _governance
from ._current import current
from ._governance import DeniedError, GovernanceError

__all__ = ["govern", "kind_of", "whose"]

# How long a tool runs before its time and its agent's admission are watched: most are done by then.
LOOK = 0.1
# How long a tool that was cancelled may still tidy up.
GRACE = 1.0

# What nobody can change.
FIXED = (str, int, float, bool, bytes, type(None))

# What has not run yet when it is answered.
LAZY = (GeneratorType, AsyncGeneratorType)

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
        return wraps(tool)(streaming(partial(begin_stream, tool, whose, described, resolved)))
    if kind == "coroutine":
        return awaited(tool, whose, described, resolved)
    if kind == "generator":
        return iterated(tool, whose, described, resolved, timeout)
    return waited(tool, whose, described, resolved, timeout)


def describe(tool, action, options):
    if isinstance(tool, (classmethod, staticmethod)):
        raise unclear(f"govern the function itself: `@govern` belongs below `@{type(tool).__name__}`")
    if not callable(tool):
        raise unclear(f"a tool is a function, not `{type(tool).__name__}`")
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


def begun(agent, described, args, kwargs):
    call = agent._begin(described, args, kwargs)
    # Others went on meanwhile.
    call.same(described, args, kwargs)
    return call


async def asked_for(agent, described, args, kwargs):
    call = await agent._ask_begin(described, args, kwargs)
    call.same(described, args, kwargs)
    return call


def is_fixed(args, kwargs):
    return all(type(value) in FIXED for value in (*args, *kwargs.values()))


async def still(call, described, given, work):
    # A task begins a moment after it was made.
    try:
        call.same(described, *given)
    except BaseException:
        work.close()
        raise
    return await work


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
            result = tool(*args, **kwargs) if timeout is None else beside(call, tool, args, kwargs)
        except BaseException:
            close(file)
            raise
        if is_later(result):
            return result, file
        close(file)
        return result, None

    if resolved is None and timeout is None:
        run = None

    @wraps(tool)
    def call_it(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or begun(agent, described, args, kwargs)
        try:
            result, file = (tool(*args, **kwargs), None) if run is None else run(call, args, kwargs)
        except BaseException as error:
            call.raised(error)
            raise
        if hasattr(result, "__await__"):
            # It was no function that waits after all: its call goes on until it was awaited.
            return carried(call, result, file)
        return finished(call, result, file, timeout)

    return call_it


def is_later(result):
    """Whether a tool has not run to its end when it answers this: its file stays open until then."""
    return type(result) in LAZY or hasattr(result, "__await__")


def finished(call, result, file=None, timeout=None):
    """A call's result. One that has not run yet is its call's until its last piece."""
    if type(result) is GeneratorType:
        return pieces_of(call, result, file, timeout)
    if type(result) is AsyncGeneratorType:
        return stream_of(call, result, file)
    call.done()
    return result


def beside(call, tool, args, kwargs):
    """Runs a tool on a thread of its own, which is left alone when its call has to end before."""
    ended, told = threading.Event(), []
    context = contextvars.copy_context()
    running = call.running()
    gone = min(call.time, LOOK)

    def work():
        try:
            told.append((context.run(tool, *args, **kwargs), None))
        except BaseException as error:
            told.append((None, error))
        finally:
            ended.set()
            running.ended()

    threading.Thread(target=work, name="governance-tool", daemon=True).start()
    if not ended.wait(gone):
        call.wait(running, gone)
    result, error = told[0]
    if error is not None:
        raise error
    return result


def iterated(tool, whose, described, resolved, timeout):
    @wraps(tool)
    def iterate(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or begun(agent, described, args, kwargs)
        args, kwargs, file = placed(call, resolved, args, kwargs)
        return (yield from pieces_of(call, tool(*args, **kwargs), file, timeout))

    return iterate


def pieces_of(call, pieces, file, timeout):
    until = monotonic() + call.time if timeout is not None else None
    given, thrown = None, None
    try:
        while True:
            # Before it goes on, and before what it made meanwhile is handed out.
            call.is_admitted() or call.check()
            try:
                piece = pieces.send(given) if thrown is None else pieces.throw(thrown)
            except StopIteration as end:
                result = end.value
                break
            if until is not None and monotonic() > until:
                call.late()
            call.is_admitted() or call.check()
            try:
                given, thrown = (yield piece), None
            except GeneratorExit:
                raise
            except BaseException as error:
                # The tool's to handle.
                given, thrown = None, error
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
    return result


def awaited(tool, whose, described, resolved):
    @wraps(tool)
    async def call_it(*args, **kwargs):
        agent = whose()
        call = agent._try_begin(described, args, kwargs) or await asked_for(agent, described, args, kwargs)
        given = args, kwargs
        args, kwargs, file = placed(call, resolved, args, kwargs)
        try:
            work = tool(*args, **kwargs)
        except BaseException:
            close(file)
            raise
        return await carried(call, work if is_fixed(*given) else still(call, described, given, work), file)

    return call_it


async def carried(call, work, file):
    """Awaits a tool to its end, or until its call has to end. Its file is closed then, or after the last of its pieces."""
    task = asyncio.ensure_future(work)
    try:
        await watched(call, task)
    except BaseException as error:
        left(call, task)
        call.lost(error.code if isinstance(error, GovernanceError) else "cancelled")
        try:
            await ended(task)
        finally:
            close(file)
        raise
    try:
        result = task.result()
        if type(result) not in LAZY:
            close(file)
    except BaseException as error:
        call.raised(error)
        close(file)
        raise
    return finished(call, result, file)


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


def left(call, task):
    """A task may go on although it was cancelled: its call counts as running until it has ended."""
    running = call.running()
    task.add_done_callback(lambda _: running.ended())


async def ended(task):
    """Cancels a task, and waits a moment for it to tidy up. One that ignores that is left alone."""
    task.cancel()
    await asyncio.wait({task}, timeout=GRACE)
    if task.done() and not task.cancelled():
        # Seen: nobody else asks for it.
        task.exception()


async def begin_stream(tool, whose, described, resolved, *args, **kwargs):
    agent = whose()
    call = agent._try_begin(described, args, kwargs) or await asked_for(agent, described, args, kwargs)
    given = args, kwargs
    args, kwargs, file = placed(call, resolved, args, kwargs)
    still = None if is_fixed(*given) else partial(call.same, described, *given)
    return call, tool(*args, **kwargs), file, still


async def begun_stream(call, pieces, file):
    return call, pieces, file, None


def stream_of(call, pieces, file):
    return streaming(begun_stream)(call, pieces, file)


def streaming(begin):
    async def stream(*args, **kwargs):
        call, pieces, file, still = await begin(*args, **kwargs)
        pump = Pump(pieces, still)
        left(call, pump.task)
        over = None
        given, thrown = None, None
        try:
            over = asyncio.ensure_future(call.over(0))
            while True:
                call.is_admitted() or await asked(call)
                coming = pump.next(given, thrown)
                await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
                if over.done():
                    call.lost(over.exception().code)
                    over.result()
                piece, failed = coming.result()
                if failed is not None:
                    raise failed
                if piece is Pump.END:
                    break
                call.is_admitted() or await asked(call)
                try:
                    given, thrown = (yield piece), None
                except GeneratorExit:
                    raise
                except BaseException as error:
                    # The tool's to handle.
                    given, thrown = None, error
        except GeneratorExit:
            call.lost("cancelled")
            failed = await pump.end()
            if failed is not None:
                raise failed
            raise
        except asyncio.CancelledError:
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

    def __init__(self, pieces, still):
        self.wanted = asyncio.Event()
        self.coming = None
        self.sent = None, None
        self.task = asyncio.ensure_future(self.run(pieces, still))

    def next(self, given, thrown):
        """Goes on with what the generator is given, or what is thrown into it. A future of the piece, or of why there is none."""
        self.sent = given, thrown
        self.coming = asyncio.get_running_loop().create_future()
        if self.task.done():
            self.tell(Pump.END)
        self.wanted.set()
        return self.coming

    async def run(self, pieces, still):
        try:
            given, thrown = await self.asked()
            if still is not None:
                still()
            while True:
                self.tell(await (pieces.asend(given) if thrown is None else pieces.athrow(thrown)))
                given, thrown = await self.asked()
        except StopAsyncIteration:
            self.tell(Pump.END)
        except BaseException as error:
            # Also what was thrown in to end it. Who cancels this task waits for no piece.
            self.tell(None, error)
            if not isinstance(error, Exception) and error is not self.sent[1]:
                raise
        finally:
            await pieces.aclose()

    async def asked(self):
        await self.wanted.wait()
        self.wanted.clear()
        return self.sent

    def tell(self, piece, failed=None):
        if self.coming is not None and not self.coming.done():
            self.coming.set_result((piece, failed))

    async def end(self):
        """Why its last tidying up failed, if it did."""
        if not self.task.done():
            await ended(self.task)
        return self.task.exception() if self.task.done() and not self.task.cancelled() else None
