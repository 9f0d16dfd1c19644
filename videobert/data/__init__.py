"""Files of the pipeline: provenance, atomic writes, ledgers, tables and the manifest."""
