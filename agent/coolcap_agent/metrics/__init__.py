"""OpenMetrics of every daemon: what a scraper such as Prometheus reads over HTTP."""
