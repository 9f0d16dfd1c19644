# The model's figures, with controls.

from videobert.evaluate import VERSION as EVALUATE


rule evaluate:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
    output:
        metrics=f"{RESULTS}/evaluate/metrics.json",
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate.tsv"
    conda:
        "../../envs/evaluate.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=EVALUATE,
        settings=settings("evaluate"),
        tokens=f"{RESULTS}/tokens",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert evaluate --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --manifest {input.manifest:q} --output {output.metrics:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
