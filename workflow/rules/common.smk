# What all rules share: the checked configuration, the shards, the files.

import gc
import json
import os
import sys
import time
from functools import cache
from pathlib import Path

# A checkout's own package comes before an installed one.
CHECKOUT = Path(workflow.current_basedir).parents[1]
if (CHECKOUT / "videobert").is_dir():
    sys.path.insert(0, str(CHECKOUT))

from videobert import config as configuration
from videobert import resources
from videobert.data.limit import limit_in_words
from videobert.data.local_files import LocalFiles
from videobert.data.manifest import plan
from videobert.data.plan import Plan, PlanFile
from videobert.data.splits import moved
from videobert.errors import UserError
from videobert.interrupts import pass_on_interrupts
from videobert.layout import SHARDED, Layout
from videobert.model.settings import PretrainSettings
from videobert.partitions import check_partitions
from videobert.pipeline import is_record, stage_of, version
from videobert.preflight import Preflight
from videobert.process import OFFLINE, acquire_lock, prepare_jobs, work_offline
from videobert.screen.handler import Screen
from videobert.screen.run import Run
from videobert.stages.retry import retried
from videobert.upgrade import UPGRADING, refuse_older
from videobert.upstream import shared_stages

BEGAN = time.time()
IS_MODULE = workflow.modifier.parent_modifier is not None
# How a command is called that may ask the model hub, when the jobs may not; a user's own word holds for it, too.
ONLINE = "" if OFFLINE in os.environ else f"env -u {OFFLINE}"
prepare_jobs(CHECKOUT)
if workflow.is_main_process:
    pass_on_interrupts()
elif not IS_MODULE:  # a module's `onstart` is never called, so nothing was fetched
    work_offline()


def planned(layout):
    """The manifest's rows and the ledger's, by the list and the register of this run or of the upstream one."""
    corpus = CONFIG.corpus
    # They stay as long as the workflow does. Python's collector need not look through millions of them again and again.
    gc.disable()
    try:
        return plan(Path(corpus.videos), Path(layout.register), corpus.shard_size, corpus.draw)
    finally:
        gc.freeze()
        gc.enable()


def plan_file():
    corpus = CONFIG.corpus
    return PlanFile(CONFIG.results, Path(corpus.videos), corpus.shard_size, corpus.draw)


def make_plan(layout):
    """What this workflow wrote down for its jobs, where this is one of them; else what the last one did, if it still holds; else
    what the list says."""
    file = plan_file()
    written = file.read_last(Path(layout.register)) if workflow.is_main_process else file.read()
    return Plan(lambda: planned(layout), written)


try:
    CONFIG = configuration.check(config)
    configuration.check_files(CONFIG)
    # The shards are known when this file is parsed; each carries a digest of its own sources as a parameter, so that
    # appended videos rerun nothing of the others. (A checkpoint, or the manifest as every job's input, would.)
    OWN = Layout(CONFIG.results)
    refuse_older(OWN)
    if CONFIG.upstream:
        refuse_older(Layout(CONFIG.upstream))
    PLAN = make_plan(Layout(CONFIG.upstream) if CONFIG.upstream else OWN)
    NOT_SHARED = shared_stages(CONFIG, list(PLAN.shards)) if CONFIG.upstream else {}
    if NOT_SHARED.get("corpus"):
        PLAN = make_plan(OWN)
    SHARDS = list(PLAN.shards)
    CONFIG = configuration.for_videos(CONFIG, PLAN.has_kitchen)
    LOCAL = LocalFiles(Path(OWN.local_files))
    if workflow.is_main_process:
        LOCAL.look(PLAN.local_files)
except UserError as error:
    sys.exit(str(error))

if workflow.is_main_process:
    if PLAN.left_out:
        print(limit_in_words(len(PLAN.rows), PLAN.left_out), file=sys.stderr)
    for row in PLAN.kept:
        print(moved(row), file=sys.stderr)
# Where files are read: those of shared stages in the upstream run. Rules write to OWN alone.
SHARED = [stage for stage, reason in NOT_SHARED.items() if not reason]
FILES = Layout(CONFIG.results, CONFIG.upstream, SHARED)
if CONFIG.upstream:
    for stage, reason in NOT_SHARED.items():
        place = f"made in {CONFIG.results}: {reason}" if reason else f"taken from {CONFIG.upstream}"
        print(f"{stage}: {place}", file=sys.stderr)

PREFLIGHT = Preflight(CONFIG, PLAN, FILES)


wildcard_constraints:
    shard=r"\d+",


def ledgers(stage):
    """The ledgers of a stage's shards."""
    return [FILES.shard_ledger(stage, shard) for shard in SHARDS]


def tables(stage):
    """The tables of a stage's shards."""
    return [FILES.table(stage, shard) for shard in SHARDS]


def features_read():
    """The tables of features, for a rule that reads them where the model does."""
    return tables("features") if CONFIG.pretrain.visual_input != "words" else []


def settings(stage):
    """A rule's tracked parameter: the settings of its stage as flags. A change reruns the rule and those below."""
    return as_it_is(configuration.tracked(CONFIG, stage))


def as_it_is(value):
    """A rule's tracked parameter in whose text Snakemake looks for no wildcards: braces in paths and templates."""
    return lambda wildcards: value


def untracked(value):
    """A rule's parameter that its result does not depend on: a change of it reruns nothing.

    Snakemake compares parameters with those of the last run, but not what a function of more than the wildcards returns.
    """
    return lambda wildcards, threads: value


def execution(stage, job=None):
    """A rule's untracked parameter: the flags that say how its stage is executed. Whoever asks for them holds the lock.

    A job writes how far it is under its own name (`job`, a pattern), which is that of its log, too.
    """

    def flags(wildcards, threads):
        hold_lock()
        look_ahead(stage)
        name = job or (f"{stage}/{{shard}}" if "shard" in wildcards.keys() else stage)
        progress = configuration.flags({"progress": OWN.progress(name.format(**dict(wildcards.items())))})
        return f"{execution_flags(stage, threads)} {progress}"

    return flags


@cache
def execution_flags(stage, threads):
    return configuration.untracked(CONFIG, stage, threads)


def needs(stage):
    """A rule's resources, for clusters: memory and minutes by its videos and the attempt, and a GPU for each process where it
    takes them."""
    need = resources.need(stage)
    nodes, processes = configuration.places(CONFIG, stage)

    def videos(wildcards):
        return PLAN.shards[wildcards.shard] if "shard" in wildcards.keys() else sum(PLAN.shards.values())

    found = {
        "mem_mb": lambda wildcards, attempt: need.mem_mb(videos(wildcards), attempt, processes),
        "runtime": lambda wildcards, attempt: need.runtime(videos(wildcards), attempt),
    }
    if configuration.takes_gpu(CONFIG, stage):
        found["gpu"] = nodes * processes
    if nodes > 1:
        # The command starts srun itself (videobert/model/launching.py); by default the executor would ask for tasks by GPU.
        found |= {"mpi": "srun", "nodes": nodes, "tasks": nodes, "tasks_per_gpu": 0}
    return found


def runtime(wildcards, resources):
    """pretrain's untracked parameter: in a job that an executor submitted, the minutes that it has."""
    if not workflow.remote_exec:
        return ""
    return f"--runtime={min(resources.runtime, CONFIG.pretrain.runtime or resources.runtime)}"


def retries(stage):
    """A rule's tracked parameter: how often `videobert retry` asked for a shard's videos again."""
    return lambda wildcards: retried(OWN, stage, wildcards.shard)


def look_ahead(stage):
    """Checks before the first job what a planned stage needs: videos in its split, names, sizes."""
    if workflow.is_main_process:
        try:
            PREFLIGHT.check(stage)
        except UserError as error:
            sys.exit(str(error))


def start():
    """Before the first job: what the stages that are about to run need of this machine. (Not called in a module.)"""
    stages = {stage_of(rule) for rule, _ in planned_jobs() if not is_record(rule)}
    try:
        PREFLIGHT.start(stages, runs_here=workflow.local_exec)
        if workflow.executor_plugin.name == "slurm":
            check_partitions(wanted_partitions())
    except UserError as error:
        sys.exit(str(error))
    work_offline()


def wanted_partitions():
    """Rule -> the partition that its jobs are to run in, where the profile says it."""
    named = ((job.rule.name, job.resources.get("slurm_partition")) for job in workflow.dag.needrun_jobs())
    return {rule: str(partition) for rule, partition in named if partition}


def print_summary():
    """Shows the summary that this run has written, or where the model lies. (Where this workflow is a module of another one,
    nobody calls it.)"""
    end_screen()
    summary, weights, record = Path(OWN.summary), Path(OWN.model.weights), Path(OWN.weights)
    if record.exists() and record.stat().st_mtime >= BEGAN:
        print(Path(OWN.log("weights")).read_text(encoding="utf-8"), file=sys.stderr, end="")
    if summary.exists() and summary.stat().st_mtime >= BEGAN:
        print(summary.read_text(encoding="utf-8"), file=sys.stderr)
    elif weights.exists() and weights.stat().st_mtime >= BEGAN:
        print(f"The model: {OWN.model.folder}", file=sys.stderr)
        if notice := PREFLIGHT.kitchen_notice():
            print(f"warning: {notice}", file=sys.stderr)


def take_screen():
    """Shows the stages' progress in place of Snakemake's jobs. Another workflow that has this one as a module keeps its own screen,
    as a dry run does; until jobs run, ours says what Snakemake's would."""
    if workflow.is_main_process and not IS_MODULE and not workflow.output_settings.dryrun:
        run = Run(OWN, PLAN.shards, BEGAN)
        return Screen.take_over(run, planned_jobs, workflow.output_settings)


def planned_jobs():
    """The jobs that will run, but for those that only name a target: rule and shard."""
    jobs = [job for job in workflow.dag.needrun_jobs() if job.log]
    return [(job.rule.name, job.wildcards_dict.get("shard", "")) for job in jobs]


def end_screen():
    if SCREEN:
        SCREEN.finish()


def aside():
    """A rule's untracked parameter, behind `| tee`: what a job says goes to its log alone where our screen says it."""
    return lambda wildcards, threads: "> /dev/null" if SCREEN else ""


SCREEN = take_screen()
LOCKS = []


def hold_lock():
    """Keeps a second run out of the results folder. A dry run may look while another run works.

    Called when the jobs are planned: when this file is parsed, nobody knows yet what kind of run it is, and where this
    workflow is a module of another one, its `onstart` is never called.
    """
    executes = workflow.is_main_process and workflow.executor_plugin is not None and not workflow.dryrun
    if executes and not LOCKS and UPGRADING not in os.environ:
        try:
            LOCKS.append(acquire_lock(Path(OWN.lock)))
            LOCAL.write()
            plan_file().write(PLAN, Path(FILES.register))
        except UserError as error:
            sys.exit(str(error))


def list_flags(shard):
    """The flags by which a job of this shard reads the list itself; it reruns for what it takes from there alone."""
    corpus = CONFIG.corpus
    flags = {"videos": corpus.videos, "shard_size": corpus.shard_size, "shard": shard, "id_register": FILES.register}
    return configuration.flags(flags | (corpus.draw._asdict() if corpus.limit else {}))


def annotations():
    """The tables of annotated steps: a user's own, or those that came with the kitchen's videos."""
    if CONFIG.evaluate.annotations is None:
        return []
    if CONFIG.evaluate.annotations == "kitchen":
        return [FILES.steps(shard) for shard in SHARDS]
    return [CONFIG.evaluate.annotations]


def listed_ids():
    """The list's own ids, where a user's table may name videos by them."""
    own = CONFIG.evaluate.annotations not in (None, "kitchen")
    return OWN.ids if own else []


def scaled():
    """The models, seed by seed of each share; the main one is not trained twice. None without truth."""
    if CONFIG.evaluate.annotations is None:
        return []
    main = CONFIG.pretrain.share, CONFIG.pretrain.seed
    return [
        FILES.model if (share, seed) == main else OWN.scaling_model(float(share), seed)
        for share in CONFIG.scaling.shares
        for seed in CONFIG.scaling.seeds
    ]


def scaling_settings(wildcards):
    """pretrain's settings, with a share and a seed of its own."""
    own = {"share": float(wildcards.share), "seed": int(wildcards.seed)}
    return configuration.flags(configuration.part(CONFIG, PretrainSettings).model_dump(exclude_defaults=True) | own)
