# Media to normalised frames: one size, one rate, one codec.


rule frames_shard:
    input:
        download=FILES.shard_ledger("download", "{shard}"),
    output:
        ledger=OWN.shard_ledger("frames", "{shard}"),
    log:
        OWN.log("frames/{shard}"),
    benchmark:
        OWN.benchmark("frames/{shard}")
    conda:
        "../../envs/frames.yaml"
    resources:
        **needs("frames"),
    params:
        version=version("frames"),
        settings=settings("frames"),
        execution=execution("frames"),
        retried=retries("frames"),
    shell:
        "python -m videobert frames --download {input.download:q}"
        " --ledger {output.ledger:q} {params.settings} {params.execution} > {log:q} 2>&1"


rule frames_ledger:
    input:
        ledgers=ledgers("frames"),
        manifest=FILES.manifest,
        details=OWN.details,
        downloads=ledgers("download"),
    output:
        OWN.ledger("frames"),
    log:
        OWN.log("ledger/frames"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        aside=aside(),
    shell:
        "python -m videobert ledger --stage frames --ledgers {input.ledgers:q} --manifest {input.manifest:q}"
        " --details {input.details:q} --downloads {input.downloads:q}"
        " --ledger {output:q} 2>&1 | tee {log:q} {params.aside}"


rule frames:
    input:
        FILES.ledger("frames"),
