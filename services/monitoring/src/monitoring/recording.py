"""The use case: records in, answered once they are durable."""

from collections.abc import Sequence

from fairlead.events.v1.events_pb2 import AnswersCompared, FeedbackGiven, PredictionMade
from service_runtime.errors import ServiceError

from monitoring.comparisons import store_comparisons
from monitoring.metrics import Metrics, shown_digest
from monitoring.settings import Settings
from monitoring.validation import check_comparisons, check_feedback, check_predictions
from monitoring.writer import Writer

# A batch of this size pays for its transaction; a smaller one waits a moment for company.
_WORTH_A_COMMIT = 200


class Recorder:
    """Checks records, has them written and counts what became of them."""

    def __init__(self, writer: Writer, metrics: Metrics, settings: Settings) -> None:
        self._writer = writer
        self._metrics = metrics
        self._settings = settings

    async def record(self, predictions: Sequence[PredictionMade]) -> None:
        """Return once all of them are durable; all or none are stored."""
        settings = self._settings
        try:
            check_predictions(predictions, max_batch=settings.max_batch, max_values=settings.max_values)
            stored = await self._writer.do(
                lambda ledger: ledger.store(predictions), patient=len(predictions) < _WORTH_A_COMMIT
            )
        except ServiceError as error:
            self._metrics.refused.labels(error.code.name.lower()).inc()
            raise
        for (model, label), count in stored.added.items():
            self._metrics.predictions.labels(*self._metrics.bounded(model, label)).inc(count)
        if stored.repeated:
            self._metrics.repeated.inc(stored.repeated)

    async def give(self, feedback: FeedbackGiven) -> bool:
        """Return, once the feedback is durable, whether its prediction is known."""
        try:
            check_feedback(feedback)
            known = await self._writer.do(lambda ledger: ledger.give(feedback))
        except ServiceError as error:
            self._metrics.refused.labels(error.code.name.lower()).inc()
            raise
        self._metrics.feedback.labels("known" if known else "unknown").inc()
        return known

    async def compare(self, comparisons: Sequence[AnswersCompared]) -> None:
        """Return once all comparisons are durable; all or none are stored."""
        try:
            check_comparisons(comparisons, max_batch=self._settings.max_batch)
            stored = await self._writer.do(lambda ledger: store_comparisons(ledger.connection, comparisons))
        except ServiceError as error:
            self._metrics.refused.labels(error.code.name.lower()).inc()
            raise
        for each in stored:
            pair = self._metrics.bounded(each.model, shown_digest(each.stable), shown_digest(each.shadow))
            self._metrics.comparisons.labels(*pair, each.outcome).inc()
