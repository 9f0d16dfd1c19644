# The video for a text, and the text for a video.
# The projection that `videobert search` takes lies in the model's folder. It is no declared output: it is not made when no
# train video has both speech and pictures, which nobody knows before.


rule retrieval:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        features=features_read(),
        manifest=FILES.manifest,
        steps=annotations(),
        ids=listed_ids(),
    output:
        OWN.task("retrieval"),
    log:
        OWN.log("retrieval"),
    benchmark:
        OWN.benchmark("retrieval")
    conda:
        "../../envs/retrieval.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("retrieval"),
    params:
        version=version("retrieval"),
        settings=settings("retrieval"),
        execution=execution("retrieval"),
        projection=untracked(FILES.parts.projection),
    shell:
        "python -m videobert retrieval --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q} --steps {input.steps:q} --ids {input.ids:q}"
        " --figures {output:q} --projection {params.projection:q} {params.settings} {params.execution} > {log:q} 2>&1"
