# The videos: fetched, linked or rendered.

from videobert.stages.download import VERSION as DOWNLOAD
from videobert.stages.retry import retried
from videobert.web.options import MANNERS, taking

# How the sites are asked is passed beside the tracked settings: a change of it makes nothing stale.
ASKED = flags({name: config["download"][name] for name in (*MANNERS, "options")})


rule download_shard:
    output:
        f"{RESULTS}/download/{{shard}}/ledger.parquet",
    log:
        f"{RESULTS}/logs/download/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/download/{{shard}}.tsv"
    conda:
        "../../envs/download.yaml"
    # --resources network=2 lets two of these jobs run at a time, whatever the number of cores.
    resources:
        network=1,
    params:
        version=DOWNLOAD,
        settings=flags(config["download"], without=(*MANNERS, "options")),
        options=taking(config["download"]["options"]),
        retried=lambda wildcards: retried(Path(RESULTS), wildcards.shard),
        # The job reads the list, yet the list is no input: `sources` tells what is new for this shard, so that videos
        # appended elsewhere in the list rerun nothing. (Nor is the manifest, as ancient(): Snakemake 9.27 then forgets
        # jobs with missing or outdated outputs whenever the manifest itself is to be remade.)
        sources=lambda wildcards: digest(SHARDS[wildcards.shard]),
        register=REGISTER,
    shell:
        "python -m videobert download --videos {config[corpus][videos]:q} --register {params.register:q}"
        " --shard_size {config[corpus][shard_size]} --shard {wildcards.shard} --output {output:q}"
        " {params.settings} {ASKED} > {log:q} 2>&1"


rule download_ledger:
    input:
        ledgers=each_shard("download/{shard}/ledger.parquet"),
        manifest=MANIFEST,
    output:
        f"{RESULTS}/ledger/download.parquet",
    log:
        f"{RESULTS}/logs/ledger/download.log",
    conda:
        "../../envs/corpus.yaml"
    params:
        results=RESULTS,
    shell:
        "python -m videobert ledger --results {params.results:q} --stage download --manifest {input.manifest:q}"
        " --output {output:q} 2>&1 | tee {log:q}"


rule download:
    input:
        rules.download_ledger.output,
