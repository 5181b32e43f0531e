"""A bounded number in flight, a bounded queue before it, and a refusal at once beyond."""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager

from service_runtime.deadlines import Deadline
from service_runtime.errors import DeadlineExceeded, Overloaded


class AdmissionGate:
    """Admit at most `max_in_flight` at a time; `max_queued` more wait their turn, in order."""

    def __init__(self, max_in_flight: int, max_queued: int, *, retry_after: float = 1.0) -> None:
        self._places = self._free = max_in_flight
        self._max_queued = max_queued
        self._retry_after = retry_after
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def in_flight(self) -> int:
        """How many hold a place."""
        return self._places - self._free

    @property
    def queued(self) -> int:
        """How many wait for their turn."""
        return len(self._waiting)

    def refusal(self) -> Overloaded | None:
        """Return what the next to come would be told, or None while there is room."""
        if self._free or len(self._waiting) < self._max_queued:
            return None
        return Overloaded("Too many requests at once; nothing was started. Retry later.", retry_after=self._retry_after)

    def admit(self, deadline: Deadline, *, stage: str = "queue") -> AbstractAsyncContextManager[Deadline]:
        """Hold a place; raises Overloaded at once when the queue is full. Yields the deadline."""
        return _Place(self, deadline, stage)

    async def take(self, deadline: Deadline, stage: str) -> None:
        """Take a place that `give_back` must give back; `admit` does both."""
        if self._free:
            self._free -= 1
        else:
            await self._queue(deadline, stage)

    def give_back(self) -> None:
        """Hand the place to whoever waits longest."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    async def _queue(self, deadline: Deadline, stage: str) -> None:
        refusal = self.refusal()
        if refusal is not None:
            raise refusal
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(deadline.check(stage)):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.give_back()  # the place was handed over in the moment the waiter gave up
            elif turn in self._waiting:  # a release between cancellation and this line has already skipped it
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise DeadlineExceeded(stage) from error
            raise


class _Place:
    """A place, held from enter to exit. A class, because every request passes here and a generator costs it more."""

    __slots__ = ("_deadline", "_gate", "_stage")

    def __init__(self, gate: AdmissionGate, deadline: Deadline, stage: str) -> None:
        self._gate = gate
        self._deadline = deadline
        self._stage = stage

    async def __aenter__(self) -> Deadline:
        await self._gate.take(self._deadline, self._stage)
        return self._deadline

    async def __aexit__(self, *_exc: object) -> None:
        self._gate.give_back()
