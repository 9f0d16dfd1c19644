# The tasks' figures in one file.

from videobert.evaluation.evaluate import VERSION as EVALUATE


rule evaluate:
    input:
        tasks=[f"{RESULTS}/evaluate/{task}.json" for task in config["evaluate"]["tasks"]],
        model=rules.pretrain.output.model,
    output:
        metrics=f"{RESULTS}/evaluate/metrics.json",
        # The model's card lies with the model, for those who take the folder elsewhere.
        card=f"{RESULTS}/pretrain/README.md",
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
        pretrain=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert evaluate --results {params.results:q} --pretrain {params.pretrain:q} --output {output.metrics:q}"
        " {params.tasks} > {log:q} 2>&1"
