# Models of shares of the train videos, and what each can name without training.

from videobert.model.settings import PretrainSettings


wildcard_constraints:
    share=r"[\d.e-]+",
    seed=r"\d+",


def scaled():
    """The models, seed by seed of each share; the main one is not trained twice. None without truth."""
    if CONFIG.evaluate.annotations is None:
        return []
    main = CONFIG.pretrain.share, CONFIG.pretrain.seed
    return [
        FILES.model if (share, seed) == main else OWN.scaling_model(float(share), seed)
        for share in CONFIG.scaling.shares
        for seed in CONFIG.scaling.seeds
    ]


def scaling_settings(wildcards):
    """pretrain's settings, with a share and a seed of its own."""
    own = {"share": float(wildcards.share), "seed": int(wildcards.seed)}
    return configuration.flags(configuration.part(CONFIG, PretrainSettings).model_dump() | own)


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


rule scaling:
    input:
        tokens=tables("tokens"),
        models=[model.weights for model in scaled()],
        others=[file for model in scaled() for file in model.files().values()],
        manifest=FILES.manifest,
        steps=annotations(),
    output:
        OWN.task("scaling"),
    log:
        OWN.log("scaling"),
    benchmark:
        OWN.benchmark("scaling")
    conda:
        "../../envs/scaling.yaml"
    threads: CONFIG.evaluate.threads
    params:
        version=version("scaling"),
        settings=settings("scaling"),
        # The question of zero_shot, in its first wording.
        template=configuration.flags({"template": CONFIG.zero_shot.templates[0]}),
    shell:
        "python -m videobert scaling --models {input.models:q} --tokens {input.tokens:q} --manifest {input.manifest:q}"
        " --steps {input.steps:q} --figures {output:q} {params.settings} {params.template} {EXECUTION[scaling]} > {log:q} 2>&1"
