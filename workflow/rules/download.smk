# The videos: fetched, linked or rendered.

from videobert.web.options import DownloadExecution


rule download_shard:
    output:
        ledger=OWN.shard_ledger("download", "{shard}"),
        steps=OWN.steps("{shard}"),
    log:
        OWN.log("download/{shard}"),
    benchmark:
        OWN.benchmark("download/{shard}")
    conda:
        "../../envs/download.yaml"
    # --resources network=2 lets two of these jobs run at a time, whatever the number of cores.
    resources:
        **needs("download"),
        network=1,
    params:
        version=version("download"),
        settings=settings("download"),
        execution=execution("download"),
        options=as_it_is(configuration.flags(configuration.part(CONFIG, DownloadExecution).selection())),
        retried=retries("download"),
        # The job reads the list, yet the list is no input: `sources` tells what is new for this shard, so that videos
        # appended elsewhere in the list rerun nothing. (Nor is the manifest, as ancient(): Snakemake 9.27 then forgets
        # jobs with missing or outdated outputs whenever the manifest itself is to be remade.)
        sources=lambda wildcards: PLAN.sources_digest(wildcards.shard, LOCAL, CONFIG.download.license),
        list=lambda wildcards, threads: list_flags(wildcards.shard),
    shell:
        "python -m videobert download {params.list} --ledger {output.ledger:q}"
        " --steps {output.steps:q} {params.settings} {params.execution} > {log:q} 2>&1"


rule download_ledger:
    input:
        ledgers=ledgers("download"),
        manifest=FILES.manifest,
        details=OWN.details,
        downloads=ledgers("download"),
    output:
        OWN.ledger("download"),
    log:
        OWN.log("ledger/download"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        aside=aside(),
    shell:
        "python -m videobert ledger --stage download --ledgers {input.ledgers:q} --manifest {input.manifest:q}"
        " --details {input.details:q} --downloads {input.downloads:q}"
        " --ledger {output:q} 2>&1 | tee {log:q} {params.aside}"


rule download:
    input:
        OWN.ledger("corpus"),
        FILES.ledger("download"),
