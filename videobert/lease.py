"""One command at a time makes a file, on a cluster too.

A Slurm job goes on when the workflow that submitted it is killed, and the next run submits the same work again. So the command
of a stage holds a lease: a file beside its first output that names the holder and is renewed while it works. A second command
waits until the lease ends. If the first one has made all outputs by then, by the same command, there is nothing left to do;
else the second goes on from what the first one had done. It never fails because of a lease: Snakemake would remove the outputs.

A holder that was killed on this machine is known to be gone at once, one on another machine when it no longer renews its lease.
It needs no locks of the disk, only that of two processes that make one file one is told that it is there.
"""

import json
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

RENEWED = 15.0  # seconds from one sign of life to the next
EXPIRED = 120.0  # seconds without one after which a holder elsewhere is gone: a network disk shows times late
LOOK = 1.0  # seconds from one look at another's lease to the next

HELD = "VIDEOBERT_LEASE_HELD"  # in the environment of processes whose launcher holds the lease


@contextmanager
def lease(outputs: Sequence[Path], command: Sequence[str]) -> Iterator[bool]:
    """Holds the lease on these files while the block runs. Yields whether they were made meanwhile by the same command.

    Args:
        outputs: what the command writes; none: there is nothing to hold.
        command: the command's arguments, as far as its result depends on them.
    """
    # The processes of one training make one model together: their launcher holds the lease, or none does.
    is_one_of_several = HELD in os.environ or "RANK" in os.environ
    path = outputs[0].with_name(f".{outputs[0].name}.lease") if outputs and not is_one_of_several else None
    own = _holder(command)
    try:
        before = _acquire(path, own) if path else None
    except OSError:  # the stage says what is wrong with this folder
        path = before = None
    if not path:
        yield False
        return
    with _renewed(path):
        try:
            yield before is not None and before["command"] == own["command"] and all(map(os.path.exists, outputs))
        finally:
            if _read(path) == own:
                path.unlink(missing_ok=True)


def _acquire(path: Path, own: dict[str, Any]) -> dict[str, Any] | None:
    """Waits for the lease and takes it. Gives the holder that was waited for."""
    waited_for = None
    path.parent.mkdir(parents=True, exist_ok=True)
    while not _created(path, own):
        holder = _read(path)
        if holder is None:  # it ended just now, or is not written yet
            time.sleep(LOOK / 10)
        elif _is_gone(holder, path):
            _remove(path, holder)
        else:
            if waited_for != holder:
                print(
                    f"process {holder['pid']} on {holder['host']} makes this already: waiting for it", file=sys.stderr
                )
            waited_for = holder
            time.sleep(LOOK)
    return waited_for


def _created(path: Path, own: dict[str, Any]) -> bool:
    """Makes the file whole under another name and links it: of two links to one name the second fails."""
    temporary = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        temporary.write_text(json.dumps(own), encoding="utf-8")
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def _remove(path: Path, holder: dict[str, Any]) -> None:
    """Takes a lease away whose holder is gone."""
    taken = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}")
    with suppress(FileNotFoundError):  # somebody else took it
        os.rename(path, taken)
        if _read(taken) != holder:  # a new holder's: back with it
            with suppress(FileExistsError):
                os.link(taken, path)
        taken.unlink()


def _is_gone(holder: dict[str, Any], path: Path) -> bool:
    if holder["machine"] == _machine():
        try:
            os.kill(holder["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # another user's process: perhaps the holder, perhaps one that got its number later
            pass
    return _age(path) > EXPIRED


def _age(path: Path) -> float:
    """Seconds since the last sign of life, by the clock of the disk."""
    sample = path.with_name(f"{path.name}-{uuid.uuid4().hex[:8]}")
    try:
        sample.touch()
        return sample.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
    finally:
        sample.unlink(missing_ok=True)


@contextmanager
def _renewed(path: Path) -> Iterator[None]:
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(RENEWED):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _holder(command: Sequence[str]) -> dict[str, Any]:
    return {"host": socket.gethostname(), "machine": _machine(), "pid": os.getpid(), "command": [*command]}


def _machine() -> str:
    """What processes have in common that see each other's ids: the host, and on Linux its start and the container."""
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    return socket.gethostname()


def _read(path: Path) -> dict[str, Any] | None:
    try:
        holder: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return holder
