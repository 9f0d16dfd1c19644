# Frames to S3D features, one vector a clip.

from videobert.stages.features import VERSION as FEATURES


rule features_shard:
    input:
        frames=f"{RESULTS}/frames/{{shard}}/ledger.parquet",
    output:
        table=f"{RESULTS}/features/{{shard}}.parquet",
        ledger=f"{RESULTS}/features/_ledger/{{shard}}.parquet",
    log:
        f"{RESULTS}/logs/features/{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/features/{{shard}}.tsv"
    conda:
        "../../envs/features.yaml"
    threads: config["features"]["threads"]
    params:
        version=FEATURES,
        settings=settings("features"),
    shell:
        "python -m videobert features --frames {input.frames:q} --output {output.table:q}"
        " --ledger {output.ledger:q} {params.settings} --device {config[features][device]}"
        " --threads {config[features][threads]} > {log:q} 2>&1"


rule features_ledger:
    input:
        ledgers=each_shard("features/_ledger/{shard}.parquet"),
        manifest=MANIFEST,
    output:
        f"{RESULTS}/ledger/features.parquet",
    log:
        f"{RESULTS}/logs/ledger/features.log",
    conda:
        "../../envs/corpus.yaml"
    params:
        results=RESULTS,
    shell:
        "python -m videobert ledger --results {params.results:q} --stage features --manifest {input.manifest:q}"
        " --output {output:q} > {log:q} 2>&1"


rule features:
    input:
        each_shard("features/{shard}.parquet"),
        rules.features_ledger.output,
