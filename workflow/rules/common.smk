# What all rules share: the checked configuration, the shards, the paths.

import os
import sys
from pathlib import Path

# The rules call `python -m videobert`: with the Python that runs Snakemake, activated or not, and with this checkout's
# package in the environments that --sdm conda makes. A job on a cluster parses this file again, so it holds there too.
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")]))
sys.path.insert(0, workflow.basedir)

from videobert.config import check, flags
from videobert.data.manifest import digest, plan, shards
from videobert.errors import UserError
from videobert.process import WORKFLOW, hold

os.environ[WORKFLOW] = str(os.getpid())

try:
    check(config, Path(workflow.basedir) / "workflow/schemas/config.schema.yaml")
    RESULTS = config["results"]
    MANIFEST = f"{RESULTS}/corpus/manifest.parquet"
    REGISTER = f"{RESULTS}/corpus/register.parquet"
    # The shards are known when this file is parsed; each carries a digest of its own sources as a parameter, so that
    # appended videos rerun nothing of the others. (A checkpoint, or the manifest as every job's input, would.)
    SHARDS = shards(
        plan(register=Path(REGISTER), **{**config["corpus"], "videos": Path(config["corpus"]["videos"])})[0]
    )
except UserError as error:
    sys.exit(str(error))


# The table of annotated steps is an input of the tasks that read it; the kitchen knows its own steps.
ANNOTATIONS = [path for path in [config["evaluate"]["annotations"]] if path not in (None, "kitchen")]

LOCKS = []

# The stages that work shard by shard.
SHARDED = ["download", "transcribe", "frames", "features", "tokens"]


# Not when this file is parsed: a dry run may look while another run works.
onstart:
    try:
        LOCKS.append(hold(Path(".snakemake/workflow.lock")))
    except UserError as error:
        sys.exit(str(error))


wildcard_constraints:
    shard=r"\d+",


def each_shard(pattern):
    """The files of all shards: "features/{shard}.parquet" -> results/features/0000.parquet, ..."""
    return [f"{RESULTS}/{pattern}".format(shard=shard) for shard in SHARDS]


def settings(section):
    """A rule's tracked parameter: its own config section as flags. A change of it reruns the rule and those below."""
    return flags(config[section])


def task_settings(task, *shared):
    """The same for a task of the evaluation, with these settings of the section evaluate beside its own."""
    return flags({**{name: config["evaluate"][name] for name in shared}, **config[task]})
