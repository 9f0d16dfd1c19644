# Frames to S3D features, one vector a clip.


rule features_shard:
    input:
        frames=FILES.shard_ledger("frames", "{shard}"),
    output:
        table=OWN.table("features", "{shard}"),
        ledger=OWN.shard_ledger("features", "{shard}"),
    log:
        OWN.log("features/{shard}"),
    benchmark:
        OWN.benchmark("features/{shard}")
    conda:
        "../../envs/features.yaml"
    threads: CONFIG.features.threads
    resources:
        **needs("features"),
    params:
        version=version("features"),
        settings=settings("features"),
        execution=execution("features"),
        retried=retries("features"),
    shell:
        "python -m videobert features --frames {input.frames:q}"
        " --table {output.table:q} --ledger {output.ledger:q} {params.settings} {params.execution} > {log:q} 2>&1"


rule features_ledger:
    input:
        ledgers=ledgers("features"),
        manifest=FILES.manifest,
        details=OWN.details,
        downloads=ledgers("download"),
    output:
        OWN.ledger("features"),
    log:
        OWN.log("ledger/features"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        aside=aside(),
    shell:
        "python -m videobert ledger --stage features --ledgers {input.ledgers:q} --manifest {input.manifest:q}"
        " --details {input.details:q} --downloads {input.downloads:q}"
        " --ledger {output:q} 2>&1 | tee {log:q} {params.aside}"


rule features:
    input:
        tables("features"),
        FILES.ledger("features"),
