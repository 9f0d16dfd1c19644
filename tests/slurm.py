"""A real Slurm on this machine, for tests: two nodes, on the loopback address, each with a GPU that is none (/dev/null).

python tests/slurm.py start     as root, where slurm-wlm and munge are installed; the files lie in /etc/slurm
python tests/slurm.py stop
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

NODES = ("node1", "node2")
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch")
CONFIG = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
SlurmUser=root
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherParams=OverMemoryKill
JobAcctGatherFrequency=task=1
KillWait=5
MinJobAge=3600
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SlurmctldPidFile=/run/slurmctld.pid
SlurmdPidFile=/run/slurmd.%n.pid
SlurmctldLogFile=/var/log/slurmctld.log
SlurmdLogFile=/var/log/slurmd.%n.log
SlurmdSpoolDir=/var/spool/slurmd.%n
StateSaveLocation=/var/spool/slurmctld
NodeName=node1 NodeHostname={host} NodeAddr=127.0.0.1 Port=17001 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
NodeName=node2 NodeHostname={host} NodeAddr=127.0.0.1 Port=17002 CPUs={cpus} RealMemory={memory} Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
PartitionName=short Nodes=ALL MaxTime=30 State=UP
"""


def missing() -> str:
    """Why Slurm cannot be started here; "" when it can."""
    if os.geteuid():
        return "starting Slurm needs root"
    absent = [name for name in NEEDED if not shutil.which(name)]
    return f"Slurm is not installed ({', '.join(absent)}): apt-get install slurm-wlm munge" if absent else ""


def start() -> None:
    """Starts munge, the controller and the node, and waits until it takes jobs."""
    host = socket.gethostname().split(".")[0]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    for folder in (
        "/etc/slurm",
        *(f"/var/spool/slurmd.{node}" for node in NODES),
        "/var/spool/slurmctld",
        "/run/munge",
    ):
        Path(folder).mkdir(parents=True, exist_ok=True)
    shutil.chown("/run/munge", "munge", "munge")
    # More memory than there is: the node's jobs ask for what real videos need.
    config = CONFIG.format(host=host, cpus=os.cpu_count(), memory=max(memory, 1) * 4)
    Path("/etc/slurm/slurm.conf").write_text(config + "SlurmdParameters=config_overrides\n", encoding="utf-8")
    Path("/etc/slurm/gres.conf").write_text("NodeName=node[1-2] Name=gpu File=/dev/null\n", encoding="utf-8")
    nodes = [["slurmd", "-c", "-N", node] for node in NODES]
    for command in (["runuser", "-u", "munge", "--", "munged", "--force"], ["slurmctld", "-c"], *nodes):
        subprocess.run(command, check=True)
    deadline = time.monotonic() + 60
    while state() != "idle":
        if time.monotonic() > deadline:
            raise SystemExit(f"Slurm did not start: {state()}; see /var/log/slurmctld.log")
        time.sleep(0.2)


def state() -> str:
    done = subprocess.run(["sinfo", "-h", "-p", "main", "-o", "%T"], capture_output=True, text=True)
    return (done.stdout or done.stderr).strip()


def stop() -> None:
    for name in ("slurmctld", "slurmd", "munged"):
        subprocess.run(["pkill", "-x", name])


if __name__ == "__main__":
    if reason := missing():
        raise SystemExit(reason)
    {"start": start, "stop": stop}[sys.argv[1]]()
