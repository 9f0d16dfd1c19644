# Verbs and objects of annotated steps, learnt by linear probes from frozen features.

from videobert.evaluation.probe import VERSION as PROBE


rule probe:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        features=each_shard("features/{shard}.parquet"),
        model=rules.pretrain.output.model,
        manifest=MANIFEST,
        annotations=ANNOTATIONS,
    output:
        f"{RESULTS}/evaluate/probe.json",
    log:
        f"{RESULTS}/logs/probe.log",
    benchmark:
        f"{RESULTS}/benchmarks/probe.tsv"
    conda:
        "../../envs/probe.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=PROBE,
        settings=task_settings("probe", "annotations", "batch_size", "seed"),
        tokens=f"{RESULTS}/tokens",
        features=f"{RESULTS}/features",
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert probe --pretrain {params.pretrain:q} --tokens {params.tokens:q}"
        " --features {params.features:q} --manifest {input.manifest:q} --output {output:q} {params.settings}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
