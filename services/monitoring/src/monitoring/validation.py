"""What a record must look like before it is stored; a wrong one is named by its path."""

import re
import time
from collections.abc import Sequence

from fairlead.events.v1.events_pb2 import AnswersCompared, FeedbackGiven, ModelRef, PredictionMade, TensorCompared
from google.protobuf.timestamp_pb2 import Timestamp
from service_runtime.errors import InvalidInput, Violation

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TRACE_ID = re.compile(r"(?:[0-9a-f]{32})?")
_MAX_TEXT = 256
_DAY_SECONDS = 86_400
_ONE = 1.0001
_HOUR_MS = 3_600_000
_MAX_TENSORS = 64


def check_predictions(predictions: Sequence[PredictionMade], *, max_batch: int, max_values: int) -> None:
    """Raise InvalidInput for the first prediction that cannot be stored; the batch is then refused whole."""
    if not predictions:
        raise _invalid("predictions", "is empty: send at least one")
    if len(predictions) > max_batch:
        raise _invalid("predictions", f"holds {len(predictions)}: send at most {max_batch} in one batch")
    latest = time.time() + _DAY_SECONDS
    for index, prediction in enumerate(predictions):
        problem = _problem_of(prediction, latest, max_values)
        if problem:
            field, description = problem
            raise _invalid(f"predictions[{index}].{field}", description)


def check_feedback(feedback: FeedbackGiven) -> None:
    """Raise InvalidInput unless the feedback can be stored."""
    if not _UUID.fullmatch(feedback.prediction_id):
        raise _invalid("feedback.prediction_id", "must be a UUID in lower case")
    for field, text in (("label", feedback.label), ("source", feedback.source)):
        if not 0 < len(text) <= _MAX_TEXT:
            raise _invalid(f"feedback.{field}", f"must have 1 to {_MAX_TEXT} characters")
    problem = _time_problem(feedback.given_at, time.time() + _DAY_SECONDS)
    if problem:
        raise _invalid("feedback.given_at", problem)


def check_comparisons(comparisons: Sequence[AnswersCompared], *, max_batch: int) -> None:
    """Raise InvalidInput for the first comparison that cannot be stored; all are then refused."""
    if not 0 < len(comparisons) <= max_batch:
        raise _invalid("comparisons", f"holds {len(comparisons)}: send 1 to {max_batch} at a time")
    latest = time.time() + _DAY_SECONDS
    for index, comparison in enumerate(comparisons):
        problem = _comparison_problem(comparison, latest)
        if problem:
            field, description = problem
            raise _invalid(f"comparisons[{index}].{field}", description)


def _comparison_problem(comparison: AnswersCompared, latest: float) -> tuple[str, str] | None:
    if not _UUID.fullmatch(comparison.comparison_id):
        return "comparison_id", "must be a UUID in lower case"
    time_problem = _time_problem(comparison.compared_at, latest)
    if time_problem:
        return "compared_at", time_problem
    stable, shadow = comparison.stable, comparison.shadow
    model_problem = _model_problem(stable)
    if model_problem:
        return f"stable.{model_problem[0]}", model_problem[1]
    if shadow.name != stable.name or shadow.digest == stable.digest or len(shadow.digest) > _MAX_TEXT:
        return "shadow", "must be another digest of stable's model"
    names = [tensor.name for tensor in comparison.tensors]
    if len(names) > _MAX_TENSORS or len(set(names)) < len(names):
        return "tensors", f"must be at most {_MAX_TENSORS} of different names"
    return next(filter(None, map(_tensor_problem, comparison.tensors)), None)


def _tensor_problem(tensor: TensorCompared) -> tuple[str, str] | None:
    if not 0 < len(tensor.name) <= _MAX_TEXT:
        return "tensors", f"must have names of 1 to {_MAX_TEXT} characters"
    if tensor.HasField("largest_difference") and not tensor.largest_difference >= 0:
        return "tensors", "must have largest differences of 0 or more"
    return None


def _problem_of(prediction: PredictionMade, latest: float, max_values: int) -> tuple[str, str] | None:
    """Runs for every prediction of the hot path: plain tests in one go, the cheap ones first."""
    if not _UUID.fullmatch(prediction.prediction_id):
        return "prediction_id", "must be a UUID in lower case"
    problem = _time_problem(prediction.made_at, latest)
    if problem:
        return "made_at", problem
    if not 0 < len(prediction.label) <= _MAX_TEXT:
        return "label", f"must have 1 to {_MAX_TEXT} characters"
    if not _TRACE_ID.fullmatch(prediction.trace_id):
        return "trace_id", "must be empty or 32 hexadecimal digits in lower case"
    model_problem = _model_problem(prediction.model)
    if model_problem:
        return f"model.{model_problem[0]}", model_problem[1]
    return _source_problem(prediction) or _number_problem(prediction, max_values)


def _model_problem(model: ModelRef) -> tuple[str, str] | None:
    if not 0 < len(model.name) <= _MAX_TEXT:
        return "name", f"must have 1 to {_MAX_TEXT} characters"
    if max(len(model.version), len(model.digest)) > _MAX_TEXT:
        return "digest", f"and version must have at most {_MAX_TEXT} characters"
    return None


def _source_problem(prediction: PredictionMade) -> tuple[str, str] | None:
    if max(len(prediction.feature_spec), len(prediction.feature_spec_digest)) > _MAX_TEXT:
        return "feature_spec", f"name and digest must have at most {_MAX_TEXT} characters"
    if max(len(prediction.revision), len(prediction.experiment), len(prediction.arm)) > _MAX_TEXT:
        return "revision", f"revision, experiment and arm must have at most {_MAX_TEXT} characters"
    return None


def _number_problem(prediction: PredictionMade, max_values: int) -> tuple[str, str] | None:
    if max(len(prediction.probabilities), len(prediction.features)) > max_values:
        return "features", f"features and probabilities must be at most {max_values} numbers each"
    probabilities = prediction.probabilities[:]
    # float32 rounds; the sum is there because NaN passes through min and max, but through no sum.
    if probabilities and not (min(probabilities) >= 0 and max(probabilities) <= _ONE and sum(probabilities) >= 0):
        return "probabilities", "must lie between 0 and 1"
    timings = prediction.timings
    for stage in (timings.preprocessing_ms, timings.inference_ms, timings.total_ms):
        if not 0.0 <= stage <= _HOUR_MS:
            return "timings", "must be milliseconds between 0 and one hour"
    return None


def _time_problem(timestamp: Timestamp, latest: float) -> str | None:
    if timestamp.seconds <= 0:
        return "must be set"
    if timestamp.seconds > latest:
        return "lies more than a day ahead of this server's clock"
    if not 0 <= timestamp.nanos < 1_000_000_000:  # noqa: PLR2004
        return "nanos must be 0 to 999,999,999"
    return None


def _invalid(field: str, description: str) -> InvalidInput:
    return InvalidInput(f"{field} {description}.", violations=(Violation(field, description),))
