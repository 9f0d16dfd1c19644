# Tokens to a pretrained model.

from videobert.stages.pretrain import VERSION as PRETRAIN


rule pretrain:
    input:
        tokens=each_shard("tokens/{shard}.parquet"),
        codebook=rules.codebook.output.centroids,
        vocabulary=rules.vocabulary.output.tokenizer,
        manifest=MANIFEST,
    output:
        # Named one by one: a folder declared as output would be deleted, checkpoints and all, when the job is killed.
        model=f"{RESULTS}/pretrain/model.safetensors",
        config=f"{RESULTS}/pretrain/config.json",
        curve=f"{RESULTS}/pretrain/training.json",
        codebook=f"{RESULTS}/pretrain/centroids.safetensors",
        preprocessing=f"{RESULTS}/pretrain/preprocessing.json",
    log:
        f"{RESULTS}/logs/pretrain.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretrain.tsv"
    conda:
        "../../envs/pretrain.yaml"
    threads: config["pretrain"]["threads"]
    params:
        version=PRETRAIN,
        settings=settings("pretrain"),
        tokens=f"{RESULTS}/tokens",
        codebook=f"{RESULTS}/codebook",
        vocabulary=f"{RESULTS}/vocabulary",
        features=f"{RESULTS}/features",
        frames=f"{RESULTS}/frames",
        folder=f"{RESULTS}/pretrain",
    shell:
        "python -m videobert pretrain --tokens {params.tokens:q} --codebook {params.codebook:q}"
        " --vocabulary {params.vocabulary:q} --features {params.features:q} --frames {params.frames:q}"
        " --manifest {input.manifest:q} --output {params.folder:q}"
        " {params.settings} --device {config[pretrain][device]} --threads {config[pretrain][threads]}"
        " 2>&1 | tee {log:q}"
