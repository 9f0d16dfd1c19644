"""What the machine did is not the video's fault.

A disk that is full or away, memory that another job took, a limit of the account: the same would happen to every video that
follows. Such a fault ends the job with one line. The video keeps no row for it, and the next run goes on from there.
"""

import errno
import os
import re

from videobert.errors import UserError

# What the system says of itself, and the mend.
MENDS = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room: your quota is used up",
    errno.EROFS: "the disk takes nothing: mount it for writing, or set `results` to another one",
    errno.EIO: "the disk or its cable is broken, or the network disk is away",
    errno.ESTALE: "the network disk was mounted anew: start the job again",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "give the job more memory, or run fewer jobs at a time",
}
# Not in these: a file that may not be read can be one that a stranger's list names.
WRITING = {
    errno.EACCES: "correct the permissions of the folder",
    errno.EPERM: "correct the permissions of the folder",
    errno.ENOTDIR: "a file stands where a folder should be",
    errno.EEXIST: "a file stands where a folder should be",
}
# What libraries say that raise no OSError.
OUT_OF_MEMORY = r"out of memory|can't allocate memory|not enough memory|bad_alloc"
OF_A_GPU = r"\bCUDA (error|failed|driver)|\bcuDNN (error|failed)|CUDNN_STATUS|CUBLAS_STATUS|\bHIP error"
OF_THE_DISK = r"PytorchStreamWriter failed writing|os error (?P<errno>\d+)"


class MachineFault(UserError):
    """Ends a job: the machine did it, and no video is to blame."""


def mend_of(error: BaseException) -> str | None:
    """What mends a fault of the machine; None when the error is none."""
    if isinstance(error, MemoryError):
        return MENDS[errno.ENOMEM]
    if isinstance(error, OSError):
        # libav says EIO of a file that is cut off, too; who reads a file of ours has read it whole before.
        from_libav = type(error).__module__.startswith("av.") and error.errno == errno.EIO
        return None if from_libav else MENDS.get(error.errno or 0)
    text = str(error)
    if re.search(OUT_OF_MEMORY, text, re.IGNORECASE):
        on_gpu = re.search(r"\bCUDA\b|\bHIP\b", text)
        return "give it a smaller batch_size, or a larger GPU" if on_gpu else MENDS[errno.ENOMEM]
    if re.search(OF_A_GPU, text):
        return "the GPU failed: try again, on another machine if it fails there, too"
    if disk := re.search(OF_THE_DISK, text):
        return MENDS.get(int(disk["errno"] or errno.ENOSPC))
    return None


def raise_machine_fault(error: BaseException) -> None:
    """Raises what the machine did; returns where a file itself breaks off or is broken."""
    if mend_of(error):
        raise error


def machine_fault(error: BaseException, what: str = "") -> MachineFault | None:
    """The one line for a fault of the machine, which names what was being done; None when the error is none."""
    mend = mend_of(error)
    return MachineFault(_line(error, what, mend)) if mend else None


def writing_fault(error: Exception, path: str | os.PathLike[str]) -> MachineFault | None:
    """The one line for a file of ours that cannot be written; None when the error is another."""
    if not isinstance(error, OSError) and not re.search(OF_THE_DISK, str(error)):
        return None
    mend = (isinstance(error, OSError) and WRITING.get(error.errno or 0)) or mend_of(error)
    if mend is None or isinstance(error, MachineFault):
        return None
    return MachineFault(_line(error, f"{getattr(error, 'filename', None) or path} cannot be written", mend))


def _line(error: BaseException, what: str, mend: str) -> str:
    reason = (isinstance(error, OSError) and error.strerror) or f"{type(error).__name__}: {error}"
    file = f" ({error.filename})" if isinstance(error, OSError) and error.filename and not what else ""
    return " ".join(f"{what}: {reason}{file}; {mend}".removeprefix(": ").split())[:600]
