"""Datasets: what a simulation leaves behind, as Parquet tables with a manifest.

A run is written as it goes (`writer`), summed up at the same time (`summary`), and published as a whole: tables,
summary, data dictionary and manifest.  `reader` opens it again, `run` puts the engine between spec and dataset,
`thresholds` holds a summary against the spec's conditions.  Columns and metrics are declared once, in `schema` and
`metrics`.  Nothing here knows how a simulation works: only its records.
"""
