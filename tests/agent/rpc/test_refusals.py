"""Refusals say the same thing as a status code and inside a session."""

import asyncio
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NoReturn

import grpc
import pytest

import coolcap_proto.v1
from coolcap_agent.rpc.refusals import STATUS_OF, RefusedError
from coolcap_proto.v1 import common_pb2


class AbortedCallError(Exception):
    """What ``abort`` of a real context raises."""


class Call:
    async def abort(self, code: grpc.StatusCode, details: str = "") -> NoReturn:
        raise AbortedCallError(code, details)

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return {}

    def peer(self) -> str:
        return ""


def test_every_reason_has_the_status_code_its_comment_promises() -> None:
    proto = Path(next(iter(coolcap_proto.v1.__path__)), "common.proto").read_text(encoding="utf-8")
    enum = proto[proto.index("enum RefusalReason {") :]
    promised = {
        name: re.search(r"\b([A-Z]+(?:_[A-Z]+)+|ABORTED|UNAVAILABLE)\.", comment)
        for comment, name in re.findall(r"((?:  // .*\n)+)  (REFUSAL_REASON_\w+) = [1-9]", enum)
    }

    assert {name: found[1] for name, found in promised.items() if found} == {
        common_pb2.RefusalReason.Name(reason): code.name for reason, code in STATUS_OF.items()
    }
    assert set(STATUS_OF) == set(common_pb2.RefusalReason.values()) - {0}


def test_refusal_in_a_session_names_sequence_and_epoch() -> None:
    error = RefusedError(common_pb2.REFUSAL_REASON_STALE_EPOCH, "epoch 3 is older than 4")

    assert common_pb2.Refusal(
        reason=common_pb2.REFUSAL_REASON_STALE_EPOCH,
        sequence=9,
        epoch=4,
        message="epoch 3 is older than 4",
    ) == error.message_for_session(sequence=9, epoch=4)


def test_refusal_ends_a_unary_call_with_its_status() -> None:
    error = RefusedError(common_pb2.REFUSAL_REASON_NO_LEASE, "no live lease")

    with pytest.raises(AbortedCallError) as caught:
        asyncio.run(error.end_call(Call()))

    assert caught.value.args == (grpc.StatusCode.FAILED_PRECONDITION, "no live lease")
