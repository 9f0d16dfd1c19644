# The tasks' figures in one file.


rule evaluate:
    input:
        **FILES.model.files(),
        figures=[OWN.task(task) for task in CONFIG.evaluate.tasks],
        details=OWN.details,
    output:
        metrics=OWN.metrics,
        # The model's card lies with the model, for those who take the folder elsewhere.
        card=OWN.model.card,
    log:
        OWN.log("evaluate"),
    benchmark:
        OWN.benchmark("evaluate")
    conda:
        "../../envs/evaluate.yaml"
    resources:
        **needs("evaluate"),
    params:
        version=version("evaluate"),
        execution=execution("evaluate"),
    shell:
        "python -m videobert evaluate --figures {input.figures:q} --model {input.weights:q} --details {input.details:q}"
        " --metrics {output.metrics:q} --card {output.card:q} {params.execution} > {log:q} 2>&1"
