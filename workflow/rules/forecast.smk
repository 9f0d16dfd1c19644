# Visual words to come, and those of a text, foretold.

from videobert.forecast import VERSION as FORECAST


rule forecast:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
    output:
        f"{RESULTS}/evaluate/forecast.json",
    log:
        f"{RESULTS}/logs/forecast.log",
    benchmark:
        f"{RESULTS}/benchmarks/forecast.tsv"
    conda:
        "../../envs/forecast.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=FORECAST,
        settings=task_settings("forecast", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert forecast --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
