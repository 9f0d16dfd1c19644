"""One workflow at a time in a results folder, and no job that outlives it.

A killed Snakemake leaves its lock behind, and jobs that go on writing. A machine that was switched off at night should
take the same command in the morning, so instead of Snakemake's lock files (`nolock` in profiles/default) the workflow
holds a lock of the operating system, which ends with the process however it ends; and each job looks every second
whether the workflow that started it is still there.
"""

import errno
import fcntl
import os
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TextIO

from videobert.errors import UserError

# What the system says where a disk has no locks.
NO_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.ENOTSUP, errno.EOPNOTSUPP)
WORKFLOW = "VIDEOBERT_WORKFLOW"  # the process id of the Snakemake that started a job, in the job's environment
OFFLINE = "HF_HUB_OFFLINE"  # huggingface_hub's


def acquire_lock(path: Path) -> TextIO:
    """Takes the lock of a results folder until the process ends (or the file is closed).

    Where the disk has no locks (Lustre without -o flock, some NFS), it says so and goes on without.

    Raises UserError that names the holder (host, process, since when) when another workflow works there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 (it stays open as long as the process lives)
    except OSError as error:
        raise UserError(
            f"results: {path.parent} cannot be written ({error.strerror}): correct its permissions, or set `results` to "
            "another folder"
        ) from None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise UserError(
            f"another run works in {path.parent} ({holder}): wait for it, stop it, or set `results` to another folder"
        ) from None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        print(
            f"{path.parent} lies on a disk without locks ({error.strerror}): see to it that one run at a time works there",
            file=sys.stderr,
        )
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()}, since {since}\n")
    file.flush()
    return file


def prepare_jobs(checkout: Path) -> None:
    """Sets the environment in which a workflow's jobs find `python -m videobert`, and in which they end with it.

    That is the Python that runs Snakemake, activated or not; and where the workflow lies in a checkout, with the checkout's
    package, in the environments that --sdm conda makes, too. A job on a cluster parses the Snakefile again, so it holds
    there as well.
    """
    os.environ[WORKFLOW] = str(os.getpid())
    _put_first("PATH", os.path.dirname(sys.executable))
    if (checkout / "videobert").is_dir():
        _put_first("PYTHONPATH", str(checkout))


def work_offline() -> None:
    """Jobs that start from here on ask no model hub: what they load has been fetched before the first job.

    A user who has set the variable, to 0 say, since the nodes have caches of their own, is left alone.
    """
    os.environ.setdefault(OFFLINE, "1")


def _put_first(variable: str, folder: str) -> None:
    os.environ[variable] = os.pathsep.join(filter(None, [folder, os.environ.get(variable)]))


def end_with_workflow() -> None:
    """Ends this process when the workflow that started it is gone; does nothing outside a workflow."""
    workflow = int(os.environ.get(WORKFLOW, 0))
    if workflow:
        threading.Thread(target=_watch, args=(workflow,), daemon=True).start()


def _watch(workflow: int) -> None:
    while True:
        try:
            os.kill(workflow, 0)
        except ProcessLookupError:
            os._exit(1)
        time.sleep(1)
