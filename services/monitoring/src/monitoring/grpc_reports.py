"""Quality and predictions between their own types and the contract's."""

import time

from fairlead.monitoring.v1 import monitoring_pb2 as pb
from service_runtime.errors import InvalidInput, NotFound, Violation

from monitoring.paging import token_of
from monitoring.quality import Proportion, Quality
from monitoring.queries import DigestQuality, Page
from monitoring.rows import MICROSECONDS, to_microseconds

_DEFAULT_PAGE = 50
_MAX_PAGE = 500


def window_of(request: pb.GetModelQualityRequest | pb.ListPredictionsRequest) -> tuple[int, int]:
    """Return the half-open window in microseconds; from the beginning, until now where not given."""
    since = to_microseconds(getattr(request, "from"))  # `from` is a keyword
    until = to_microseconds(request.to) if request.HasField("to") else int(time.time() * MICROSECONDS) + 1
    if since >= until:
        raise _invalid("to", "must be later than `from`")
    return since, until


def page_size_of(request: pb.ListPredictionsRequest) -> int:
    """Return how many predictions a page holds."""
    if not 0 <= request.page_size <= _MAX_PAGE:
        raise _invalid("page_size", f"must be 1 to {_MAX_PAGE}, or 0 for {_DEFAULT_PAGE}")
    return request.page_size or _DEFAULT_PAGE


def quality_response(qualities: list[DigestQuality], request: pb.GetModelQualityRequest) -> pb.GetModelQualityResponse:
    """Return the answer; asked for one digest that has no predictions, NOT_FOUND."""
    if request.model_digest and not qualities:
        raise NotFound(f"No prediction of '{request.model_name}' with digest '{request.model_digest}' in this window.")
    return pb.GetModelQualityResponse(qualities=[_quality(each) for each in qualities])


def page_response(page: Page) -> pb.ListPredictionsResponse:
    """Return the answer with the token of the following page."""
    items = [pb.LabelledPrediction(prediction=prediction, feedback=feedback) for prediction, feedback in page.items]
    return pb.ListPredictionsResponse(predictions=items, next_page_token=token_of(page.next_from))


def _quality(digest: DigestQuality) -> pb.ModelQuality:
    quality: Quality = digest.quality
    return pb.ModelQuality(
        model=digest.model,
        predictions=digest.predictions,
        labelled=quality.accuracy.trials,
        accuracy=_proportion(quality.accuracy),
        classes=[
            pb.ClassQuality(label=each.label, precision=_proportion(each.precision), recall=_proportion(each.recall))
            for each in quality.classes
        ],
        confusion=[
            pb.ConfusionCell(actual=actual, predicted=predicted, count=count)
            for (actual, predicted), count in quality.confusion.items()
        ],
        calibration=[
            pb.CalibrationBin(
                lower=each.lower,
                upper=each.upper,
                count=each.count,
                mean_confidence=each.mean_confidence,
                accuracy=each.accuracy,
            )
            for each in quality.calibration
        ],
        expected_calibration_error=quality.expected_calibration_error,
    )


def _proportion(proportion: Proportion) -> pb.Proportion:
    lower, upper = proportion.interval or (None, None)
    return pb.Proportion(
        successes=proportion.successes, trials=proportion.trials, value=proportion.value, lower=lower, upper=upper
    )


def _invalid(field: str, description: str) -> InvalidInput:
    return InvalidInput(f"{field} {description}.", violations=(Violation(field, description),))


def require_model_name(request: pb.GetModelQualityRequest) -> str:
    """Return the model's name; quality over all models together means nothing."""
    if not request.model_name:
        raise _invalid("model_name", "must be set")
    return request.model_name
