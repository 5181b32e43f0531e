"""The use case: somebody tells the right label of an earlier prediction."""

import uuid
from typing import Protocol

from fairlead.events.v1.events_pb2 import FeedbackGiven
from google.protobuf.timestamp_pb2 import Timestamp
from service_runtime.deadlines import Deadline
from service_runtime.errors import DependencyUnavailable, InvalidInput, Violation

from gateway.catalog import ModelCatalog

_LONGEST_LABEL = 256
_LONGEST_SOURCE = 100


class FeedbackStore(Protocol):
    """Where feedback becomes durable."""

    async def feedback(self, feedback: FeedbackGiven, *, deadline: Deadline) -> bool:
        """Store it and return whether its prediction is known there; raises DependencyUnavailable."""


class FeedbackDesk:
    """Checks feedback and hands it to monitoring."""

    def __init__(self, catalog: ModelCatalog, store: FeedbackStore) -> None:
        self._catalog = catalog
        self._store = store

    async def give(self, prediction_id: str, label: str, source: str, *, deadline: Deadline) -> bool:
        """Store feedback durably; return whether the prediction has been recorded already."""
        violations = [
            violation
            for violation in (
                _check_id(prediction_id),
                await self._check_label(label, deadline),
                _check_source(source),
            )
            if violation
        ]
        if violations:
            raise InvalidInput(
                " ".join(violation.description for violation in violations), violations=tuple(violations)
            )
        now = Timestamp()
        now.GetCurrentTime()
        feedback = FeedbackGiven(
            prediction_id=str(uuid.UUID(prediction_id)), label=label, source=source or "api", given_at=now
        )
        return await self._store.feedback(feedback, deadline=deadline)

    async def _check_label(self, label: str, deadline: Deadline) -> Violation | None:
        """Refuse a label that no served model has.

        The model of a prediction is known to monitoring alone, so this catches a slip of the pen, not every mistake.
        """
        if not 0 < len(label) <= _LONGEST_LABEL:
            return Violation("label", f"Give the right label, in 1 to {_LONGEST_LABEL} characters.")
        try:
            models = await self._catalog.list(deadline=deadline)
        except DependencyUnavailable:
            return None  # feedback outlives an inference server that is away
        known = sorted({known for model in models for known in model.labels})
        if not known or label in known:
            return None
        return Violation("label", f"No model here has this label. Labels are: {', '.join(known)}.")


def _check_id(prediction_id: str) -> Violation | None:
    try:
        if str(uuid.UUID(prediction_id)) == prediction_id.lower():
            return None
    except ValueError:
        pass
    return Violation("prediction_id", "A prediction id is a UUID, as in the answer of :predict.")


def _check_source(source: str) -> Violation | None:
    if len(source) <= _LONGEST_SOURCE:
        return None
    return Violation("source", f"A source has at most {_LONGEST_SOURCE} characters.")
