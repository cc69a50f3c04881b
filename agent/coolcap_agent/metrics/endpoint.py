"""The HTTP server a scraper reads. Everything is read-only and served without asking who asks."""

from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, ProcessCollector, start_http_server
from prometheus_client.registry import Collector

from coolcap_agent.rpc.address import Address, check_free


class MetricsEndpoint:
    """Serves ``/metrics`` from a thread of its own, as text or OpenMetrics, whichever is asked for.

    Args:
        listen: Where.
        collector: Gives the metrics at each scrape, in another thread than the daemon's.

    Raises:
        BindError: If the address cannot be had.
    """

    def __init__(self, listen: Address, collector: Collector) -> None:
        check_free(listen)
        registry = CollectorRegistry()
        registry.register(collector)
        ProcessCollector(registry=registry)
        server, self._thread = start_http_server(listen.port, listen.host, registry)
        self._server: WSGIServer = server
        self.address = Address(host=listen.host, port=self._server.server_port)

    def close(self) -> None:
        """Stop serving; safe to call twice."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
