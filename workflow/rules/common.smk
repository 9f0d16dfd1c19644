# What all rules share: the checked configuration, the shards, the files.

import os
import sys
from pathlib import Path

# The rules call `python -m videobert`: with the Python that runs Snakemake, activated or not, and with this checkout's
# package in the environments that --sdm conda makes. A job on a cluster parses this file again, so it holds there too.
os.environ["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), os.environ.get("PATH", "")])
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [workflow.basedir, os.environ.get("PYTHONPATH")]))
sys.path.insert(0, workflow.basedir)

from videobert import config as configuration
from videobert.data.manifest import digest, list_digest, plan, shards
from videobert.errors import UserError
from videobert.layout import SHARDED, Layout
from videobert.pipeline import STAGES, version
from videobert.process import WORKFLOW, acquire_lock
from videobert.upstream import shared_stages

os.environ[WORKFLOW] = str(os.getpid())


def planned(layout):
    """The manifest's rows and the ledger's, by the list and the register of this run or of the upstream one."""
    corpus = CONFIG.corpus
    return plan(Path(corpus.videos), Path(layout.register), corpus.shard_size, corpus.test_fraction, corpus.seed)


try:
    CONFIG = configuration.check(config)
    # The shards are known when this file is parsed; each carries a digest of its own sources as a parameter, so that
    # appended videos rerun nothing of the others. (A checkpoint, or the manifest as every job's input, would.)
    OWN = Layout(CONFIG.results)
    PLAN = planned(Layout(CONFIG.upstream) if CONFIG.upstream else OWN)
    NOT_SHARED = shared_stages(CONFIG, list(shards(PLAN[0]))) if CONFIG.upstream else {}
    if NOT_SHARED.get("corpus"):
        PLAN = planned(OWN)
except UserError as error:
    sys.exit(str(error))

SHARDS = shards(PLAN[0])
# Where files are read: those of shared stages in the upstream run. Rules write to OWN alone.
SHARED = [stage for stage, reason in NOT_SHARED.items() if not reason]
FILES = Layout(CONFIG.results, CONFIG.upstream, SHARED)
if CONFIG.upstream:
    for stage, reason in NOT_SHARED.items():
        place = f"made in {CONFIG.results}: {reason}" if reason else f"taken from {CONFIG.upstream}"
        print(f"{stage}: {place}", file=sys.stderr)

# How each stage is executed: flags that nothing depends on, so they stand beside the tracked ones.
EXECUTION = {stage: configuration.untracked(CONFIG, stage) for stage in STAGES}

LOCKS = []


# Not when this file is parsed: a dry run may look while another run works.
onstart:
    try:
        LOCKS.append(acquire_lock(Path(OWN.lock)))
    except UserError as error:
        sys.exit(str(error))


wildcard_constraints:
    shard=r"\d+",


def ledgers(stage):
    """The ledgers of a stage's shards."""
    return [FILES.shard_ledger(stage, shard) for shard in SHARDS]


def tables(stage):
    """The tables of a stage's shards."""
    return [FILES.table(stage, shard) for shard in SHARDS]


def settings(stage):
    """A rule's tracked parameter: the settings of its stage as flags. A change reruns the rule and those below."""
    return configuration.tracked(CONFIG, stage)


def annotations():
    """The tables of annotated steps: a user's own, or those that came with the kitchen's videos."""
    if CONFIG.evaluate.annotations is None:
        return []
    return (
        [FILES.steps(shard) for shard in SHARDS]
        if CONFIG.evaluate.annotations == "kitchen"
        else [CONFIG.evaluate.annotations]
    )
