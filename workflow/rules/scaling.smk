# Models of shares of the train videos, and what each can name without training.

from videobert.evaluation.scaling import VERSION as SCALING


wildcard_constraints:
    share=r"[\d.e-]+",
    seed=r"\d+",


def scaled():
    """The folders of the models, seed by seed of each share; the main one is not trained twice. None without truth."""
    if config["evaluate"]["annotations"] is None:
        return []
    main = config["pretrain"]["share"], config["pretrain"]["seed"]
    return [
        f"{RESULTS}/pretrain" if (share, seed) == main else f"{RESULTS}/scaling/{float(share)}-{seed}"
        for share in config["scaling"]["shares"]
        for seed in config["scaling"]["seeds"]
    ]


use rule pretrain as scaling_pretrain with:
    output:
        model=f"{RESULTS}/scaling/{{share}}-{{seed}}/model.safetensors",
        config=f"{RESULTS}/scaling/{{share}}-{{seed}}/config.json",
        curve=f"{RESULTS}/scaling/{{share}}-{{seed}}/training.json",
        codebook=f"{RESULTS}/scaling/{{share}}-{{seed}}/centroids.safetensors",
        preprocessing=f"{RESULTS}/scaling/{{share}}-{{seed}}/preprocessing.json",
    log:
        f"{RESULTS}/logs/scaling/{{share}}-{{seed}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/scaling/{{share}}-{{seed}}.tsv"
    params:
        settings=lambda wildcards: flags(
            {**config["pretrain"], "share": float(wildcards.share), "seed": int(wildcards.seed)}
        ),
        folder=f"{RESULTS}/scaling/{{share}}-{{seed}}",


rule scaling:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        models=[f"{folder}/{name}" for folder in scaled() for name in ("model.safetensors", "training.json")],
        manifest=MANIFEST,
        annotations=ANNOTATIONS,
    output:
        f"{RESULTS}/evaluate/scaling.json",
    log:
        f"{RESULTS}/logs/scaling.log",
    benchmark:
        f"{RESULTS}/benchmarks/scaling.tsv"
    conda:
        "../../envs/scaling.yaml"
    threads: config["evaluate"]["threads"]
    params:
        version=SCALING,
        settings=task_settings("scaling", "annotations", "batch_size", "seed"),
        # The question of zero_shot, in its first wording.
        template=flags({"template": config["zero_shot"]["templates"][0]}),
        models=flags({"models": scaled()}),
        tokens=f"{RESULTS}/tokens",
    shell:
        "python -m videobert scaling {params.models} --tokens {params.tokens:q} --manifest {input.manifest:q}"
        " --output {output:q} {params.settings} {params.template}"
        " --device {config[evaluate][device]} --threads {config[evaluate][threads]} > {log:q} 2>&1"
