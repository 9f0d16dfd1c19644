# One page that shows what became of every video, the visual words, the curves and the figures.

from videobert.report.page import VERSION as REPORT


rule report:
    input:
        ledgers=[f"{RESULTS}/ledger/{stage}.parquet" for stage in ["corpus", *SHARDED]],
        statistics=rules.codebook.output.statistics,
        atlas=rules.codebook.output.atlas,
        curve=rules.pretrain.output.curve,
        metrics=rules.evaluate.output.metrics,
    output:
        page=report(f"{RESULTS}/report/index.html", caption="../report/report.rst", category="Report"),
        summary=f"{RESULTS}/report/summary.txt",
    log:
        f"{RESULTS}/logs/report.log",
    benchmark:
        f"{RESULTS}/benchmarks/report.tsv"
    conda:
        "../../envs/report.yaml"
    params:
        version=REPORT,
        settings=settings("report"),
        results=RESULTS,
    shell:
        "python -m videobert report --results {params.results:q} --output {output.page:q}"
        " --summary {output.summary:q} {params.settings} > {log:q} 2>&1"
