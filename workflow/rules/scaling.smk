# Models of shares of the train videos, and what each can name without training.


wildcard_constraints:
    share=r"[\d.e-]+",
    seed=r"\d+",


use rule pretrain as scaling_pretrain with:
    output:
        **OWN.scaling_model("{share}", "{seed}").files(),
    log:
        OWN.log("scaling/{share}-{seed}"),
    benchmark:
        OWN.benchmark("scaling/{share}-{seed}")
    params:
        version=version("pretrain"),
        settings=scaling_settings,
        execution=execution("pretrain", "scaling/{share}-{seed}"),
        runtime=runtime,
        aside=aside(),


rule scaling:
    input:
        tokens=tables("tokens"),
        features=features_read(),
        models=[model.weights for model in scaled()],
        others=[file for model in scaled() for file in model.files().values()],
        manifest=FILES.manifest,
        steps=annotations(),
        ids=listed_ids(),
    output:
        OWN.task("scaling"),
    log:
        OWN.log("scaling"),
    benchmark:
        OWN.benchmark("scaling")
    conda:
        "../../envs/scaling.yaml"
    threads: CONFIG.evaluate.threads
    resources:
        **needs("scaling"),
    params:
        version=version("scaling"),
        settings=settings("scaling"),
        execution=execution("scaling"),
        # The question of zero_shot, in its first wording.
        template=as_it_is(configuration.flags({"template": CONFIG.zero_shot.templates[0]})),
    shell:
        "python -m videobert scaling --models {input.models:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --features {input.features:q}"
        " --steps {input.steps:q} --ids {input.ids:q} --figures {output:q} {params.settings} {params.template} {params.execution} > {log:q} 2>&1"
