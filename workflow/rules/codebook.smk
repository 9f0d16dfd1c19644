# Features of the train videos to visual words.


rule codebook:
    input:
        features=tables("features"),
        manifest=FILES.manifest,
    output:
        centroids=OWN.centroids,
        statistics=OWN.statistics,
        atlas=OWN.atlas,
    log:
        OWN.log("codebook"),
    benchmark:
        OWN.benchmark("codebook")
    conda:
        "../../envs/codebook.yaml"
    threads: CONFIG.codebook.threads
    resources:
        **needs("codebook"),
    params:
        version=version("codebook"),
        settings=settings("codebook"),
        execution=execution("codebook"),
    shell:
        "python -m videobert codebook --features {input.features:q} --manifest {input.manifest:q}"
        " --centroids {output.centroids:q} --statistics {output.statistics:q} --atlas {output.atlas:q}"
        " {params.settings} {params.execution} > {log:q} 2>&1"
