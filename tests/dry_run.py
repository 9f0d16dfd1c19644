"""Runs Snakemake many times over, in forks of one process that has imported it: two thirds of a dry run is importing.

Each line of the standard input is a JSON list: the file that takes what is printed, then the arguments. The answer is a
line with the exit status.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


class Runner:
    """The process, asked from without."""

    def __init__(self, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __call__(self, *arguments: str, check: bool = True) -> str:
        """What Snakemake printed; fails when Snakemake does, or with `check=False` when it does not."""
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "printed"
            self.process.stdin.write(json.dumps([str(output), *arguments]) + "\n")
            self.process.stdin.flush()
            status, printed = self.process.stdout.readline().strip(), output.read_text(encoding="utf-8")
        assert (status == "0") == check, printed
        return printed

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


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
        output, *arguments = json.loads(line)
        child = os.fork()
        if not child:
            file = os.open(output, os.O_WRONLY | os.O_CREAT)
            os.dup2(file, 1), os.dup2(file, 2)
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
