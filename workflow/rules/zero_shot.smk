# Verbs and objects of annotated steps, named without training.


rule zero_shot:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        features=tables("features"),
        manifest=FILES.manifest,
        steps=annotations(),
        ids=listed_ids(),
    output:
        OWN.task("zero_shot"),
    log:
        OWN.log("zero_shot"),
    benchmark:
        OWN.benchmark("zero_shot")
    conda:
        "../../envs/zero_shot.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("zero_shot"),
    params:
        version=version("zero_shot"),
        settings=settings("zero_shot"),
        execution=execution("zero_shot"),
    shell:
        "python -m videobert zero_shot --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q} --steps {input.steps:q} --ids {input.ids:q}"
        " --figures {output:q} {params.settings} {params.execution} > {log:q} 2>&1"
