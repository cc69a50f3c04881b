"""Commands and their answers, and their order: a repetition is answered, not repeated."""

from collections.abc import Sequence
from dataclasses import dataclass

from coolcap_agent.daemon.outcome import Outcome
from coolcap_agent.daemon.point import InForce
from coolcap_agent.journal import Key
from coolcap_agent.rpc.refusals import RefusedError
from coolcap_proto.v1 import common_pb2


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What the wire says, checked for form only.

    ``targets`` holds at most one value per point, in the order of the answer; ``content`` tells a
    repetition from another command; ``answers_time_s`` is None if it answers no telemetry.
    """

    lease_id: str
    epoch: int
    sequence: int
    answers_time_s: float | None
    targets: Sequence[tuple[Key, float]]
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one target."""

    key: Key
    outcome: Outcome
    asked: float
    in_force: InForce | None = None
    written: float | None = None
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a command."""

    epoch: int
    sequence: int
    answers_time_s: float | None
    apply_time_s: float
    results: Sequence[Result]


class CommandLog:
    """Remembers the newest command carried out and its answer."""

    def __init__(self) -> None:
        self._epoch = 0
        self._sequence = 0
        self._content = b""
        self._answer: Answer | None = None

    def recorded(self, *, epoch: int, sequence: int, content: bytes) -> Answer | None:
        """Return the answer if this very command was carried out already, None if it is new.

        Args:
            epoch: Epoch of the live lease.
            sequence: Sequence of the command.
            content: The command as bytes, to tell a repetition from another command.

        Raises:
            RefusedError: INVALID if the sequence is not positive or was used with other content,
                STALE_SEQUENCE if a later command was carried out.
        """
        if sequence <= 0:
            raise RefusedError(
                common_pb2.REFUSAL_REASON_INVALID,
                f"sequence {sequence} is not allowed: it must be > 0 and grow with each command",
            )
        if epoch != self._epoch or sequence > self._sequence:
            return None
        if sequence < self._sequence:
            raise RefusedError(
                common_pb2.REFUSAL_REASON_STALE_SEQUENCE,
                f"sequence {sequence} is older than {self._sequence}, which was carried out under "
                f"epoch {epoch}; drop this command",
            )
        if content != self._content:
            raise RefusedError(
                common_pb2.REFUSAL_REASON_INVALID,
                f"sequence {sequence} was used before with other content under epoch {epoch}; "
                "give each new command a higher sequence",
            )
        return self._answer

    def record(self, *, epoch: int, sequence: int, content: bytes, answer: Answer) -> None:
        """Note that a command was carried out."""
        self._epoch, self._sequence = epoch, sequence
        self._content, self._answer = content, answer
