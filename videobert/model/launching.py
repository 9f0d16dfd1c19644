"""One command in several processes: torchrun's agent on each node, which `srun` starts where there are several nodes.

`videobert pretrain --processes 2` is the launcher: it holds the lease on the model, starts two processes of the same command, and
ends as they end. They know by torchrun's variables (RANK, WORLD_SIZE) that they are such processes.
"""

import logging
import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

from videobert.errors import Unfinished, UserError
from videobert.lease import HELD
from videobert.process import WORKFLOW

if TYPE_CHECKING:
    from videobert.model.settings import PretrainExecution, PretrainSettings

RENDEZVOUS = "VIDEOBERT_RENDEZVOUS"  # host:port where nodes meet, in the environment of what srun starts
PORTS = range(20_000, 30_000)
LOOPBACK = "127.0.0.1"


def launch(execution: "PretrainExecution", command: list[str]) -> bool:
    """Runs `videobert COMMAND` in the processes that the execution asks for; false when this process is to do it.

    Raises UserError where they cannot be had, and SystemExit with their exit code when they fail.
    """
    if execution.nodes * execution.processes == 1 or "RANK" in os.environ:
        return False
    os.environ[HELD] = "1"
    if execution.nodes > 1 and RENDEZVOUS not in os.environ:
        _on_nodes(execution, command)
    else:
        _here(execution, command)
    return True


def _on_nodes(execution: "PretrainExecution", command: list[str]) -> None:
    """Starts this command once on each node of the Slurm job that this process is in."""
    job = os.environ.get("SLURM_JOB_ID")
    if not job:
        raise UserError(
            f"pretrain.nodes is {execution.nodes}, but this is no job of Slurm: start it with --profile profiles/slurm, or set "
            "pretrain.nodes to 1"
        )
    # This process runs on the first node; torchrun's agent there is the one that the others come to.
    os.environ[RENDEZVOUS] = f"{socket.gethostname()}:{PORTS[int(job) % len(PORTS)]}"
    os.environ.pop(WORKFLOW, None)  # Snakemake runs on this node alone
    flags = [f"--nodes={execution.nodes}", f"--ntasks={execution.nodes}", "--ntasks-per-node=1"]
    flags += [f"--cpus-per-task={execution.processes * execution.threads}", "--cpu-bind=none", "--kill-on-bad-exit=1"]
    if execution.device != "cpu":
        flags.append(f"--gpus-per-node={execution.processes}")
    srun = subprocess.Popen(["srun", *flags, sys.executable, "-m", "videobert", *command])
    before = signal.signal(signal.SIGTERM, lambda number, frame: srun.terminate())  # it tells the processes
    code = srun.wait()
    signal.signal(signal.SIGTERM, before)
    if code:
        sys.exit(code)


def _here(execution: "PretrainExecution", command: list[str]) -> None:
    """Starts the processes of this node, and waits for them."""
    import torch
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if execution.device != "cpu":
        check_gpus(execution.processes, torch.cuda.device_count())
    # What torch says of itself, a page for each process, would hide what the processes say.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.ERROR)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    os.environ[WORKFLOW] = str(os.getpid())  # they end when this process is gone
    config = LaunchConfig(
        min_nodes=execution.nodes,
        max_nodes=execution.nodes,
        nproc_per_node=execution.processes,
        run_id=os.environ.get("SLURM_JOB_ID", "videobert"),
        rdzv_backend="c10d",
        rdzv_endpoint=os.environ.get(RENDEZVOUS, f"{LOOPBACK}:0"),
        local_addr=None if RENDEZVOUS in os.environ else LOOPBACK,
        max_restarts=0,
    )
    try:
        elastic_launch(config, sys.executable)("-m", "videobert", *command)
    except ChildFailedError as error:
        sys.exit(_exit_code({rank: failure.exitcode for rank, failure in error.failures.items()}))
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        sys.exit(Unfinished.EXIT_CODE)  # they have had time to save, and have said so


def batch_mistake(settings: "PretrainSettings", processes: int, parts: int) -> str:
    """What is wrong with a batch that does not divide by its processes and the parts of each; "" when nothing."""
    # Every second sequence has a pair beside it, and all parts must have as many.
    whole = processes * parts * (2 if settings.contrastive_weight else 1)
    if settings.batch_size % whole == 0:
        return ""
    twice = ", times 2 with contrastive_weight" if settings.contrastive_weight else ""
    return (
        f"pretrain.batch_size is {settings.batch_size}, but must be a multiple of {whole} (processes of all nodes {processes}, "
        f"gradient_accumulation_steps {parts}{twice})"
    )


def check_gpus(processes: int, gpus: int) -> None:
    """Raises UserError where a machine has GPUs, but fewer than processes."""
    if 0 < gpus < processes:
        raise UserError(f"pretrain.processes is {processes}, but there are {gpus} GPUs: give it as many at most")


def _exit_code(codes: dict[int, int]) -> int:
    """How the launcher ends, by the exit codes of the processes that failed first. What they had to say they have said."""
    for rank, code in codes.items():
        if code < 0:
            name = signal.Signals(-code).name
            why = ", often for want of memory" if name == "SIGKILL" else ""
            print(f"videobert: process {rank} was ended by {name}{why}", file=sys.stderr)
    return Unfinished.EXIT_CODE if Unfinished.EXIT_CODE in codes.values() else 1
