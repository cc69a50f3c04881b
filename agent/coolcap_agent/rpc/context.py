"""What a servicer uses of the call it answers."""

from collections.abc import Iterable, Mapping
from typing import NoReturn, Protocol

import grpc


class CallContext(Protocol):
    """The part of ``grpc.aio.ServicerContext`` that servicers need; easy to fake in a test."""

    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        """End the call with an error. Never returns."""
        ...

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """Return what TLS proved about the peer."""
        ...

    def peer(self) -> str:
        """Return the peer's address, for logs."""
        ...
