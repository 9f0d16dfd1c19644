"""Opening strangers' files in processes of their own, with bounds of time and memory."""

import importlib
import json
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from signal import Signals
from typing import Any

from videobert.errors import BoundError, Status, VideoError
from videobert.machine import MachineFault, machine_fault

# How a program ends by its own fault, which a stranger's file can bring about. It gets other signals from outside: of the
# system when memory is short, of a cluster when its time is up, of a user.
CRASHES = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS")
STACK = 8 << 20  # bytes


def call_isolated(function: Callable[..., Any], path: Path, *arguments: Any, seconds: float, memory: int) -> Any:
    """What a function of this package says of a stranger's file, called in a process of its own, as in `run_bounded`.

    Its arguments (the path first, as text) and its result are such as JSON knows.

    Raises the VideoError that it raises, VideoError("unusable") when it crashes, and what `run_bounded` raises.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folder or os.getcwd() for folder in sys.path)}
    program = "import sys; from videobert.media.bounded import answer; answer(*sys.argv[1:])"
    call = [function.__module__, function.__qualname__, json.dumps([str(path), *arguments])]
    code, lines = run_bounded([sys.executable, "-c", program, *call], seconds, memory, environment)
    if code < 0:
        raise VideoError(Status.UNUSABLE, f"not a readable media file: the demuxer ended by {Signals(-code).name}")
    if code:
        raise RuntimeError("\n".join(lines[-1:] + lines))  # the error itself first: a ledger keeps the beginning
    answer = json.loads(lines[-1])
    if "error" in answer:
        raise VideoError(*answer["error"])
    if "bound" in answer:
        raise BoundError(f"{answer['bound']}; it gets {memory >> 20} MB")
    if "machine" in answer:
        raise MachineFault(answer["machine"])
    return answer["result"]


def answer(module: str, function: str, arguments: str) -> None:
    """`call_isolated`, from within: prints what the function gives, or why it gives nothing."""
    try:
        answer = {"result": getattr(importlib.import_module(module), function)(*json.loads(arguments))}
    except VideoError as error:
        answer = {"error": [error.status, error.reason]}
    except MemoryError:
        answer = {"bound": "not a readable media file: it asks for too much memory"}
    except OSError as error:
        if not (fault := machine_fault(error)):
            raise
        answer = {"machine": str(fault)}
    print(json.dumps(answer))


def run_bounded(
    command: list[str], seconds: float, memory: int, environment: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Runs a program on a stranger's file, with bounds of time and of memory (bytes of address space).

    Returns its exit code (negative: the signal that ended it) and what it said: of endless complaints just the first
    and the last lines.

    Raises BoundError when it takes longer than `seconds`, MachineFault when somebody else ends it.
    """
    with _small_stack():
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    with process:
        assert process.stdout  # it is a pipe
        _bound_memory(process.pid, memory)
        clock = threading.Timer(seconds, process.kill)
        clock.start()
        try:
            lines = [*islice(process.stdout, 25), *deque(process.stdout, maxlen=25)]
            process.wait()
        except BaseException:
            process.kill()
            raise
        finally:
            late = not clock.is_alive()
            clock.cancel()
    if late and process.returncode < 0:
        raise BoundError(f"it was not done with after {seconds:.0f} s")
    ended = Signals(-process.returncode).name if process.returncode < 0 else ""
    if ended and ended not in CRASHES:
        raise MachineFault(
            f"{Path(command[0]).name} was ended by {ended} from outside: is memory short, or the job's time up? "
            "Run the same command again"
        )
    return process.returncode, [line.decode(errors="replace").rstrip() for line in lines]


@contextmanager
def _small_stack() -> Iterator[None]:
    """A child that is started meanwhile has stacks of 8 MB.

    Each of its threads maps one, inside our bound of memory; clusters give their accounts stacks of gigabytes.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if 0 <= soft <= STACK:
        yield
        return
    resource.setrlimit(resource.RLIMIT_STACK, (STACK, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, (soft, hard))


def _bound_memory(process: int, memory: int) -> None:
    """Where the system can (Linux), bounds the address space of a process that was just started."""
    import resource

    if not hasattr(resource, "prlimit"):
        return
    try:
        _, hard = resource.prlimit(process, resource.RLIMIT_AS)
        soft = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
        resource.prlimit(process, resource.RLIMIT_AS, (soft, hard))
    except ProcessLookupError:  # it is done already
        return
