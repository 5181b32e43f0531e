"""Whether monitoring still knows a prediction."""

import json
import urllib.request
from collections.abc import Iterator

from local_stack.eventually import eventually
from local_stack.first_picture import Answer
from sandbox.commands import CommandFailed

from storykit.cluster import Cluster

_PAGES = 50
_SOON_S = 60.0


def await_remembered(cluster: Cluster, *answers: Answer) -> None:
    """Wait until monitoring shows these predictions, however many came after them."""
    wanted = {answer.prediction_id for answer in answers}
    eventually(lambda: wanted <= _known(cluster, wanted), within=_SOON_S, every=1.0)


def _known(cluster: Cluster, wanted: set[str]) -> set[str]:
    known: set[str] = set()
    try:
        with cluster.forward("statefulset/monitoring", 8081) as url:
            for page in _pages(url):
                known |= page
                if wanted <= known:
                    break
    except (AssertionError, CommandFailed, OSError):
        return known  # its pod comes or goes
    return known


def _pages(url: str) -> Iterator[set[str]]:
    token = ""
    for _ in range(_PAGES):
        with urllib.request.urlopen(f"{url}/api/predictions?page_size=100&page_token={token}", timeout=5) as answer:
            body = json.load(answer)
        yield {prediction["prediction_id"] for prediction in body["predictions"]}
        token = body["next_page_token"]
        if not token:
            return
