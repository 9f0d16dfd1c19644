# Sentences and features to joint sequences of word pieces and visual words.


rule tokens_shard:
    input:
        transcripts=FILES.table("transcribe", "{shard}"),
        features=FILES.table("features", "{shard}"),
        centroids=FILES.centroids,
        tokenizer=FILES.tokenizer,
        manifest=FILES.manifest,
        exclude=CONFIG.tokens.exclude or [],
        ids=OWN.ids if CONFIG.tokens.exclude else [],
    output:
        table=OWN.table("tokens", "{shard}"),
        ledger=OWN.shard_ledger("tokens", "{shard}"),
    log:
        OWN.log("tokens/{shard}"),
    benchmark:
        OWN.benchmark("tokens/{shard}")
    conda:
        "../../envs/tokens.yaml"
    resources:
        **needs("tokens"),
    params:
        version=version("tokens"),
        settings=settings("tokens"),
        execution=execution("tokens"),
    shell:
        "python -m videobert tokens --transcripts {input.transcripts:q} --features {input.features:q} --centroids {input.centroids:q}"
        " --tokenizer {input.tokenizer:q} --manifest {input.manifest:q} --shard {wildcards.shard}"
        " --ids {input.ids:q} --table {output.table:q} --ledger {output.ledger:q} {params.settings} {params.execution} > {log:q} 2>&1"


rule tokens_ledger:
    input:
        ledgers=ledgers("tokens"),
        manifest=FILES.manifest,
        details=OWN.details,
        downloads=ledgers("download"),
    output:
        OWN.ledger("tokens"),
    log:
        OWN.log("ledger/tokens"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    shell:
        "python -m videobert ledger --stage tokens --ledgers {input.ledgers:q} --manifest {input.manifest:q}"
        " --details {input.details:q} --downloads {input.downloads:q}"
        " --ledger {output:q} > {log:q} 2>&1"


rule tokens:
    input:
        tables("tokens"),
        FILES.ledger("tokens"),
