# Speech to sentences with times, by Whisper or from captions.


CAPTIONS = CONFIG.transcribe.engine == "captions"


rule transcribe_shard:
    input:
        download=FILES.shard_ledger("download", "{shard}"),
    output:
        table=OWN.table("transcribe", "{shard}"),
        ledger=OWN.shard_ledger("transcribe", "{shard}"),
    log:
        OWN.log("transcribe/{shard}"),
    benchmark:
        OWN.benchmark("transcribe/{shard}")
    conda:
        "../../envs/transcribe.yaml"
    threads: CONFIG.transcribe.threads
    resources:
        **needs("transcribe"),
    params:
        version=version("transcribe"),
        settings=settings("transcribe"),
        execution=execution("transcribe"),
        retried=retries("transcribe"),
        # The list may name captions of its own: their content counts, where they are read.
        captions=lambda wildcards: PLAN.captions_digest(wildcards.shard, LOCAL) if CAPTIONS else "",
        list=lambda wildcards, threads: list_flags(wildcards.shard) if CAPTIONS else "",
    shell:
        "python -m videobert transcribe --download {input.download:q} {params.list}"
        " --table {output.table:q} --ledger {output.ledger:q} {params.settings} {params.execution} > {log:q} 2>&1"


rule transcribe_ledger:
    input:
        ledgers=ledgers("transcribe"),
        manifest=FILES.manifest,
        details=OWN.details,
        downloads=ledgers("download"),
    output:
        OWN.ledger("transcribe"),
    log:
        OWN.log("ledger/transcribe"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        aside=aside(),
    shell:
        "python -m videobert ledger --stage transcribe --ledgers {input.ledgers:q} --manifest {input.manifest:q}"
        " --details {input.details:q} --downloads {input.downloads:q}"
        " --ledger {output:q} 2>&1 | tee {log:q} {params.aside}"


rule transcribe:
    input:
        tables("transcribe"),
        FILES.ledger("transcribe"),
