# The tasks' figures in one file.

from videobert.evaluate import VERSION as EVALUATE


rule evaluate:
    input:
        [f"{RESULTS}/evaluate/{task}.json" for task in config["evaluate"]["tasks"]],
    output:
        metrics=f"{RESULTS}/evaluate/metrics.json",
    log:
        f"{RESULTS}/logs/evaluate.log",
    benchmark:
        f"{RESULTS}/benchmarks/evaluate.tsv"
    conda:
        "../../envs/evaluate.yaml"
    params:
        version=EVALUATE,
        tasks=flags({"tasks": config["evaluate"]["tasks"]}),
        results=f"{RESULTS}/evaluate",
    shell:
        "python -m videobert evaluate --results {params.results:q} --output {output.metrics:q} {params.tasks}"
        " > {log:q} 2>&1"
