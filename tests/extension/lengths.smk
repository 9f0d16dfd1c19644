# How long the segments of the test split are.


rule lengths:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        manifest=FILES.manifest,
    output:
        OWN.task("lengths"),
    log:
        OWN.log("lengths"),
    benchmark:
        OWN.benchmark("lengths")
    conda:
        "../../envs/lengths.yaml"
    threads: CONFIG.evaluate.threads
    params:
        version=version("lengths"),
        settings=settings("lengths"),
        execution=execution("lengths"),
    shell:
        "python -m videobert lengths --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --figures {output:q} {params.settings} {params.execution} > {log:q} 2>&1"
