# One page that shows what became of every video, the visual words, the curves and the figures.


rule report:
    input:
        **FILES.model.files(),
        ledgers=[FILES.ledger(stage) for stage in ["corpus", *SHARDED]],
        frames=ledgers("frames"),
        transcripts=tables("transcribe"),
        features=tables("features"),
        tokens=tables("tokens"),
        manifest=FILES.manifest,
        details=OWN.details,
        statistics=FILES.statistics,
        atlas=FILES.atlas,
        vocabulary=[FILES.tokenizer, FILES.vocabulary_provenance],
        figures=[OWN.task(task) for task in CONFIG.evaluate.tasks],
        metrics=OWN.metrics,
    output:
        page=report(OWN.page, caption="../report/report.rst", category="Report"),
        summary=OWN.summary,
    log:
        OWN.log("report"),
    benchmark:
        OWN.benchmark("report")
    conda:
        "../../envs/report.yaml"
    resources:
        **needs("report"),
    params:
        version=version("report"),
        settings=settings("report"),
        execution=execution("report"),
        results=lambda wildcards, output: Path(output.page).parents[1],
        upstream=as_it_is(configuration.flags({"upstream": CONFIG.upstream}) if SHARED else ""),
        shared=" ".join(SHARED),
    shell:
        "python -m videobert report --results {params.results:q} {params.upstream}"
        " --shared {params.shared}"
        " --page {output.page:q} --summary {output.summary:q} {params.settings} {params.execution}"
        " > {log:q} 2>&1"
