"""Asks the policy with a deadline; whatever goes wrong becomes one error with a reason."""

import queue
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from coolcap_envs.contract.action import Action
from coolcap_envs.contract.errors import CoolcapError
from coolcap_envs.contract.observation import Observation
from coolcap_envs.contract.policy import Policy, PolicyBundle, RulePolicy


class PolicyFailedError(CoolcapError):
    """The policy gave no usable action; the rule decides instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A policy and where it comes from.

    Attributes:
        policy: The policy.
        name: What decisions are logged under.
        graph_sha256: SHA-256 of the bundle's graph; empty for the rule.
        schema_hash: Schema of the bundle; empty for the rule.
    """

    policy: Policy
    name: str
    graph_sha256: str = ""
    schema_hash: str = ""


def load_policy(folder: Path | None, public_key: Path | None = None) -> LoadedPolicy:
    """Load a bundle, signed with the key if one is given, or the rule for None.

    Raises:
        BundleError: If the bundle cannot be used.
    """
    if folder is None:
        return LoadedPolicy(policy=RulePolicy(), name=RulePolicy.name)
    bundle = PolicyBundle.load(folder, public_key=public_key)
    return LoadedPolicy(
        policy=bundle,
        name=bundle.name,
        graph_sha256=bundle.manifest.graph_sha256,
        schema_hash=bundle.manifest.schema_hash,
    )


class PolicyRunner:
    """Runs a policy in a thread of its own, so that one that hangs holds nothing up.

    Args:
        loaded: From :func:`load_policy`.
        deadline_s: Longest wait for an action.
    """

    def __init__(self, loaded: LoadedPolicy, *, deadline_s: float) -> None:
        self.loaded = loaded
        self._deadline_s = deadline_s
        self._questions: queue.SimpleQueue[tuple[Observation, Future[Action]] | None]
        self._questions = queue.SimpleQueue()
        self._pending: Future[Action] | None = None
        threading.Thread(
            target=self._run, args=(loaded.policy,), name="policy", daemon=True
        ).start()

    def ask(self, observation: Observation) -> Action:
        """Return the action for ``observation``, finite and of the right shape.

        Raises:
            PolicyFailedError: If there is none, in time or at all; the message says why.
        """
        name = self.loaded.name
        if self._pending is not None and not self._pending.done():
            raise PolicyFailedError(f"policy {name} still works on an earlier observation")
        self._pending = Future()
        self._questions.put((observation, self._pending))
        try:
            action = self._pending.result(self._deadline_s)
        except FutureTimeoutError:
            raise PolicyFailedError(
                f"policy {name} gave no answer within {self._deadline_s:g} s (policy_deadline_s)"
            ) from None
        except Exception as error:  # a policy may raise anything
            raise PolicyFailedError(
                f"policy {name} failed: {type(error).__name__}: {error}"
            ) from error
        return self._checked(action, observation)

    def close(self) -> None:
        """Let the thread end."""
        self._questions.put(None)

    def _checked(self, action: Action, observation: Observation) -> Action:
        neutral = Action.neutral(*observation.groups.shape[:-1])
        got = (action.groups.shape, action.plant.shape)
        wanted = (neutral.groups.shape, neutral.plant.shape)
        if got != wanted:
            raise PolicyFailedError(
                f"policy {self.loaded.name} answered shapes {got}, {wanted} are needed"
            )
        bad = int(np.sum(~np.isfinite(action.groups)) + np.sum(~np.isfinite(action.plant)))
        if bad:
            raise PolicyFailedError(
                f"policy {self.loaded.name} answered {bad} values that are not finite"
            )
        return action

    def _run(self, policy: Policy) -> None:
        while (question := self._questions.get()) is not None:
            observation, answer = question
            try:
                action = policy.act(observation)
            except Exception as error:  # noqa: BLE001 - handed to whoever waits
                answer.set_exception(error)
            else:
                answer.set_result(action)
            del question, observation, answer
