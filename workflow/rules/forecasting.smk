# Visual words to come, and those of a text, foretold.

from videobert.evaluation.forecasting import VERSION as FORECASTING


rule forecasting:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
    output:
        f"{RESULTS}/evaluate/forecasting.json",
    log:
        f"{RESULTS}/logs/forecasting.log",
    benchmark:
        f"{RESULTS}/benchmarks/forecasting.tsv"
    conda:
        "../../envs/forecasting.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=FORECASTING,
        settings=task_settings("forecasting", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert forecasting --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
