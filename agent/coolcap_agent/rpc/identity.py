"""What a process is to others: its certificate's names, its files, its credentials.

Without the library that reads certificates: a daemon needs it at its start only, and it would be a
sixth of a node agent's memory.
"""

import os
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import TypeVar

import grpc

from coolcap_envs.contract.errors import ConfigError

T = TypeVar("T")


class Usage(Enum):
    """Which end of a connection a certificate is for."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """What a certificate says about its owner (subject alternative name)."""

    dns: tuple[str, ...]
    uris: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFiles:
    """Where a process finds its identity and the authority it trusts (all PEM)."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """A checked identity, ready for gRPC."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    ca_pem: bytes
    names: Names
    end_time: datetime

    def server_credentials(self) -> grpc.ServerCredentials:
        """Return credentials of a server that demands a client certificate."""
        return grpc.ssl_server_credentials(
            [(self.key_pem, self.certificate_pem)], self.ca_pem, require_client_auth=True
        )

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """Return credentials of a client that shows its certificate."""
        return grpc.ssl_channel_credentials(self.ca_pem, self.key_pem, self.certificate_pem)


def in_a_child(load: Callable[[], T]) -> T:
    """Return what ``load`` returns in a forked process, whose memory is gone afterwards.

    Call it before gRPC is used and before there are threads.

    Raises:
        ConfigError: As ``load`` does.
        ChildProcessError: If it ended in any other way.
    """
    receiver, sender = os.pipe()
    with warnings.catch_warnings():
        # Python 3.12 and later warn where there are threads; a daemon has none yet.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            os.close(receiver)
            try:
                told: tuple[object, ...] = ("ok", load())
            except ConfigError as error:
                told = ("error", error.origin, error.problems)
            with os.fdopen(sender, "wb") as pipe:
                pickle.dump(told, pipe)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    if not answer:
        raise ChildProcessError("the process that reads certificates ended without an answer")
    kind, *rest = pickle.loads(answer)  # from our own child
    if kind == "error":
        raise ConfigError(*rest)
    result: T = rest[0]
    return result
