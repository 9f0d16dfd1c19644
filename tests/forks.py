"""Runs Snakemake many times over, in forks of one process that has imported it: two thirds of a dry run is importing.

Each line of the standard input is a JSON list: the files that take what is printed, then the arguments. The answer is a
line with the exit status.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Forks:
    """The process, asked from without."""

    def __init__(self, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / name for name in ("stdout", "stderr")]
            self.process.stdin.write(json.dumps([*map(str, files), *arguments]) + "\n")
            self.process.stdin.flush()
            status = int(self.process.stdout.readline())
            printed = [file.read_text(encoding="utf-8") for file in files]
        return subprocess.CompletedProcess(arguments, status, *printed)


def serve() -> None:
    # Not Snakemake's entry alone: what it and the Snakefile import later on.
    import docutils.core  # noqa: F401
    import jsonschema  # noqa: F401
    import numpy  # noqa: F401
    import pandas  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import snakemake.cli
    import yte  # noqa: F401

    for line in sys.stdin:
        stdout, stderr, *arguments = json.loads(line)
        child = os.fork()
        if not child:
            for number, file in enumerate((os.devnull, stdout, stderr)):  # jobs must not read our own standard input
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
            status = 1
            try:
                snakemake.cli.main(arguments)
            except SystemExit as end:
                status = end.code if isinstance(end.code, int) else int(end.code is not None)
                if isinstance(end.code, str):
                    print(end.code, file=sys.stderr)
            finally:
                sys.stdout.flush(), sys.stderr.flush()
                os._exit(status)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
