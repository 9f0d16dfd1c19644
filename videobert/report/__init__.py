"""The report: one self-contained HTML page, from the files of a results folder."""
