# The list of videos: clean ids, shards that stay, the split.


rule corpus:
    output:
        manifest=OWN.manifest,
        # Kept from run to run: as a plain output, Snakemake would delete it before the job.
        register=update(OWN.register),
    log:
        OWN.log("corpus"),
    benchmark:
        OWN.benchmark("corpus")
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        version=version("corpus"),
        settings=settings("corpus"),
        execution=execution("corpus"),
        # The list is no input: a newer time alone changes nothing, a source, an id or a split does.
        videos=lambda wildcards: PLAN.digest("manifest"),
    shell:
        "python -m videobert corpus --manifest {output.manifest:q}"
        " --id_register {output.register:q} {params.settings} {params.execution} > {log:q} 2>&1"


# What else the list says, each in a file of its own: a title that is corrected makes the report anew, and nothing else.
# They read the list itself; the manifest comes first, since with it the register gives all videos their ids.


rule corpus_ids:
    input:
        manifest=FILES.manifest,
    output:
        OWN.ids,
    log:
        OWN.log("corpus_ids"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        settings=untracked(configuration.tracked(CONFIG, "corpus")),
        register=FILES.register,
        videos=lambda wildcards: PLAN.digest("ids"),
    shell:
        "python -m videobert corpus_ids --id_register {params.register:q} --ids {output:q} {params.settings} > {log:q} 2>&1"


rule corpus_ledger:
    input:
        manifest=FILES.manifest,
    output:
        ledger=OWN.ledger("corpus"),
        details=OWN.details,
    log:
        OWN.log("ledger/corpus"),
    conda:
        "../../envs/corpus.yaml"
    resources:
        **needs("corpus"),
    params:
        settings=untracked(configuration.tracked(CONFIG, "corpus")),
        register=FILES.register,
        videos=lambda wildcards: PLAN.digest("details") + PLAN.digest("ledger"),
    shell:
        "python -m videobert corpus_ledger --id_register {params.register:q} --ledger {output.ledger:q}"
        " --details {output.details:q} {params.settings} > {log:q} 2>&1"
