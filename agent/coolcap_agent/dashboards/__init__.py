"""Grafana dashboards and alert rules as code, over the log's schema, in InfluxQL."""
