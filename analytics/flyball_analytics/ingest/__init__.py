"""Metric history from CloudWatch, metric streams, Prometheus and CSV into one directory of Parquet files.

The layout is in docs/reference/history.md. Everything here needs the extra `sim`;
importing this package alone imports nothing of it.
"""
