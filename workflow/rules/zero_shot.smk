# Verbs and objects of annotated steps, named without training.

from videobert.evaluation.zero_shot import VERSION as ZERO_SHOT


rule zero_shot:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        features=each_shard("features/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
        annotations=ANNOTATIONS,
    output:
        f"{RESULTS}/evaluate/zero_shot.json",
    log:
        f"{RESULTS}/logs/zero_shot.log",
    benchmark:
        f"{RESULTS}/benchmarks/zero_shot.tsv"
    conda:
        "../../envs/zero_shot.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=ZERO_SHOT,
        settings=task_settings("zero_shot", "annotations", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        # Of its supervised row.
        probe=settings("probe"),
        features=f"{RESULTS}/features",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert zero_shot --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --features {params.features:q} --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " {params.probe}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
