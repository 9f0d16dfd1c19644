# The visual words to come, and those of a sentence.


rule forecasting:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        features=features_read(),
        manifest=FILES.manifest,
    output:
        OWN.task("forecasting"),
    log:
        OWN.log("forecasting"),
    benchmark:
        OWN.benchmark("forecasting")
    conda:
        "../../envs/forecasting.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("forecasting"),
    params:
        version=version("forecasting"),
        settings=settings("forecasting"),
        execution=execution("forecasting"),
    shell:
        "python -m videobert forecasting --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q}"
        " --figures {output:q} {params.settings} {params.execution} > {log:q} 2>&1"
