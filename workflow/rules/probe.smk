# Verbs and objects of annotated steps, by linear probes on frozen features.


rule probe:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        features=tables("features"),
        manifest=FILES.manifest,
        steps=annotations(),
        ids=listed_ids(),
    output:
        OWN.task("probe"),
    log:
        OWN.log("probe"),
    benchmark:
        OWN.benchmark("probe")
    conda:
        "../../envs/probe.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("probe"),
    params:
        version=version("probe"),
        settings=settings("probe"),
        execution=execution("probe"),
    shell:
        "python -m videobert probe --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q} --steps {input.steps:q} --ids {input.ids:q}"
        " --figures {output:q} {params.settings} {params.execution} > {log:q} 2>&1"
