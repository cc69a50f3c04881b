"""The operator's side of the API: connect, call once, say plainly why if that fails."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import grpc
import grpc.aio

from coolcap_agent.rpc.address import parse_address
from coolcap_agent.rpc.certificate import Usage
from coolcap_agent.rpc.channel import open_channel
from coolcap_agent.rpc.tls import TlsFiles, load_tls
from coolcap_envs.contract.errors import CoolcapError
from coolcap_proto.v1 import controller_pb2_grpc

T = TypeVar("T")

CALL_DEADLINE_S: Final = 10.0


class ControllerError(CoolcapError):
    """The controller could not be reached or did not do what was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Whom to call, and as whom.

    Attributes:
        address: Where the controller listens, ``host:port``.
        controller: Name its certificate must be for.
        tls_dir: Folder of ``ca.crt`` and of the caller's certificate and key.
        identity: Name of the caller's files, without ``.crt`` and ``.key``.
    """

    address: str
    controller: str
    tls_dir: Path
    identity: str

    async def call(self, method: Callable[[controller_pb2_grpc.ControllerStub], Awaitable[T]]) -> T:
        """Make one call.

        Raises:
            ControllerError: If it fails; the message says why and what to do.
            ConfigError: If the caller's TLS files are unusable.
        """
        try:
            address = parse_address(self.address)
        except ValueError as error:
            raise ControllerError(str(error)) from error
        files = TlsFiles(
            certificate=self.tls_dir / f"{self.identity}.crt",
            key=self.tls_dir / f"{self.identity}.key",
            ca=self.tls_dir / "ca.crt",
        )
        tls = load_tls(files, usages=(Usage.CLIENT,), origin=f"identity {self.identity}")
        channel = open_channel(address, server_name=self.controller, tls=tls)
        try:
            return await method(controller_pb2_grpc.ControllerStub(channel))
        except grpc.aio.AioRpcError as error:
            raise ControllerError(self._say(error)) from error
        finally:
            await channel.close()

    def _say(self, error: grpc.aio.AioRpcError) -> str:
        details = (error.details() or "").strip()
        where = f"controller {self.controller} at {self.address}"
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return (
                f"{where} is not reachable ({details}); start it with `coolcap control --config "
                "FILE`, or give --controller, --name and --tls as they are there"
            )
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{where} did not answer within {CALL_DEADLINE_S:g} s; ask `coolcap status`"
        return details or f"{where} answered {error.code().name}"
