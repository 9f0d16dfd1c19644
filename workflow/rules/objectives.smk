# Masked accuracy and alignment on the test split.


rule objectives:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        features=features_read(),
        manifest=FILES.manifest,
    output:
        OWN.task("objectives"),
    log:
        OWN.log("objectives"),
    benchmark:
        OWN.benchmark("objectives")
    conda:
        "../../envs/objectives.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("objectives"),
    params:
        version=version("objectives"),
        settings=settings("objectives"),
        execution=execution("objectives"),
    shell:
        "python -m videobert objectives --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q}"
        " --figures {output:q} {params.settings} {params.execution} > {log:q} 2>&1"
