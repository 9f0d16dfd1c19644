# Media to normalised frames: one size, one rate, one codec.

from videobert.stages.frames import VERSION as FRAMES


rule frames_shard:
    input:
        download=f"{RESULTS}/download/{{shard}}/ledger.parquet",
    output:
        f"{RESULTS}/frames/{{shard}}/ledger.parquet",
    log:
        f"{RESULTS}/logs/frames/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/frames/{{shard}}.tsv"
    conda:
        "../../envs/frames.yaml"
    params:
        version=FRAMES,
        settings=settings("frames"),
    shell:
        "python -m videobert frames --download {input.download:q} --output {output:q} {params.settings}"
        " > {log:q} 2>&1"


rule frames_ledger:
    input:
        ledgers=each_shard("frames/{shard}/ledger.parquet"),
        manifest=MANIFEST,
    output:
        f"{RESULTS}/ledger/frames.parquet",
    log:
        f"{RESULTS}/logs/ledger/frames.log",
    conda:
        "../../envs/corpus.yaml"
    params:
        results=RESULTS,
    shell:
        "python -m videobert ledger --results {params.results:q} --stage frames --manifest {input.manifest:q}"
        " --output {output:q} > {log:q} 2>&1"


rule frames:
    input:
        rules.frames_ledger.output,
