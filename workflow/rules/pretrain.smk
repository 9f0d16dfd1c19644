# Tokens to a pretrained model.


rule pretrain:
    input:
        tokens=tables("tokens"),
        centroids=FILES.centroids,
        tokenizer=FILES.tokenizer,
        tokenizer_config=FILES.tokenizer_config,
        # All shards agree on how features and frames were made: where features are not read, the first says it.
        features=tables("features") if CONFIG.pretrain.needs_features else tables("features")[0],
        frames=ledgers("frames")[0],
        manifest=FILES.manifest,
    output:
        # Named one by one: a folder declared as output would be deleted, checkpoints and all, when the job is killed.
        **OWN.model.files(),
    log:
        OWN.log("pretrain"),
    benchmark:
        OWN.benchmark("pretrain")
    conda:
        "../../envs/pretrain.yaml"
    threads: CONFIG.pretrain.threads * CONFIG.pretrain.processes
    resources:
        **needs("pretrain"),
    params:
        version=version("pretrain"),
        settings=settings("pretrain"),
        execution=execution("pretrain"),
        runtime=runtime,
        aside=aside(),
    shell:
        # SIGTERM, which a cluster sends to all processes of a job, ends none of those that wait for a last checkpoint.
        "trap : TERM;"
        " python -m videobert pretrain --tokens {input.tokens:q} --centroids {input.centroids:q}"
        " --tokenizer {input.tokenizer:q} --features {input.features:q} --frames {input.frames:q}"
        " --manifest {input.manifest:q} --model {output.weights:q} {params.settings} {params.execution}"
        " {params.runtime} 2>&1 | (trap '' TERM; tee {log:q} {params.aside})"
