# The sentences of annotated steps, written by decoders.
# The decoder that `videobert caption` takes lies in the model's folder. It is no declared output: it is not made when the task
# is left out for want of a sentence, which nobody knows before.


rule captioning:
    input:
        **FILES.model.files(),
        tokens=tables("tokens"),
        features=tables("features"),
        manifest=FILES.manifest,
        steps=annotations(),
        ids=listed_ids(),
    output:
        OWN.task("captioning"),
    log:
        OWN.log("captioning"),
    benchmark:
        OWN.benchmark("captioning")
    conda:
        "../../envs/captioning.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("captioning"),
    params:
        version=version("captioning"),
        settings=settings("captioning"),
        execution=execution("captioning"),
        decoder=untracked(FILES.parts.decoder),
    shell:
        "python -m videobert captioning --model {input.weights:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q} --steps {input.steps:q} --ids {input.ids:q}"
        " --figures {output:q} --decoder {params.decoder:q} {params.settings} {params.execution} > {log:q} 2>&1"
