"""The table that a person reads at the end of a run."""

from training.evaluation import Share
from training.pipeline import Run


def table(run: Run) -> str:
    """Return the figures of a run as text."""
    after, before = run.after, run.before
    lines = ["", "holdout          share      n   95 % interval", _row("accuracy", after.accuracy)]
    lines += [_row(f"digit {digit}", share) for digit, share in enumerate(after.per_class)]
    lines += [
        "",
        "calibration      before   after",
        f"log loss        {before.log_loss:7.4f} {after.log_loss:7.4f}",
        f"ECE             {before.calibration_error:7.4f} {after.calibration_error:7.4f}",
        "",
        f"temperature      {run.temperature}",
        f"parity           {run.parity:.1e} at most between ONNX Runtime and scikit-learn",
        f"release          version {run.release.version}, {'new' if run.release.new else 'unchanged'}",
        f"digest           {run.release.digest}",
        f"record           {run.release.path}",
    ]
    return "\n".join(lines)


def _row(name: str, share: Share) -> str:
    low, high = share.interval
    return f"{name:<14}{share.value:8.4f} {share.n:6d}   {low:.4f} - {high:.4f}"
