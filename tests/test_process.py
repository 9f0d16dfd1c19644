"""The lock of a results folder: who holds it, and disks that have no locks."""

import errno
import fcntl
import os
import socket

import pytest

from videobert.errors import UserError
from videobert.process import acquire_lock


def test_a_second_run_is_told_who_works_there(tmp_path):
    with acquire_lock(tmp_path / "results" / ".lock"), pytest.raises(UserError) as error:
        acquire_lock(tmp_path / "results" / ".lock")
    message = str(error.value)
    assert f"another run works in {tmp_path / 'results'} (process {os.getpid()} on {socket.gethostname()}" in message
    assert ", since 20" in message and "\n" not in message


def test_the_lock_ends_with_its_holder(tmp_path):
    acquire_lock(tmp_path / ".lock").close()
    acquire_lock(tmp_path / ".lock").close()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EBADF, errno.ENOTSUP])
def test_a_disk_without_locks_is_said_and_the_run_goes_on(tmp_path, monkeypatch, capsys, number):
    def no_lock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_lock)
    acquire_lock(tmp_path / ".lock").close()
    assert "lies on a disk without locks" in capsys.readouterr().err


def test_another_fault_of_the_disk_is_no_lack_of_locks(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(OSError, match="Input/output"):
        acquire_lock(tmp_path / ".lock")
