# Masked accuracy and alignment on the test split.

from videobert.evaluation.objectives import VERSION as OBJECTIVES


rule objectives:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
    output:
        f"{RESULTS}/evaluate/objectives.json",
    log:
        f"{RESULTS}/logs/objectives.log",
    benchmark:
        f"{RESULTS}/benchmarks/objectives.tsv"
    conda:
        "../../envs/objectives.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=OBJECTIVES,
        settings=task_settings("objectives", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert objectives --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
