"""The door: who calls, whether they may do that, whether again already, and into which arm they go."""

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn

from service_runtime.errors import PermissionDenied, QuotaExceeded, Unauthenticated

from gateway.callers.caller import Caller, work_for
from gateway.callers.experiment import Experiment
from gateway.callers.identity import Identity, InvalidToken
from gateway.callers.quota import Quota
from gateway.callers.scopes import Scope, needed_scope
from gateway.metrics import CallerMetrics

if TYPE_CHECKING:
    from gateway.callers.tokens import Tokens

ARM_HEADER = "x-experiment-arm"

_BEARER = "bearer "
_LONGEST_NAME = 255
_CHALLENGE = 'Bearer realm="fairlead"'


class Door:
    """Lets callers in. Without tokens anybody may do anything; without a quota, as often as they like."""

    def __init__(
        self,
        metrics: CallerMetrics,
        *,
        tokens: "Tokens | None" = None,
        quota: Quota | None = None,
        experiment: Experiment | None = None,
        caller_header: str = "",
    ) -> None:
        self._metrics = metrics
        self._tokens = tokens
        self._quota = quota
        self._experiment = experiment
        self._caller_header = caller_header

    async def enter(self, operation: str, headers: Mapping[str, str], address: str) -> Caller:
        """Let a caller in for a route or method, and work for it; raises Unauthenticated or PermissionDenied.

        The names of headers are in lower case. `address` is where the connection comes from.
        """
        identity = None
        if self._tokens is not None:
            scope = needed_scope(operation)
            if scope is not None:
                identity = await self._identify(self._tokens, headers)
                self._require(scope, identity)
        caller = self._caller(identity, headers, address)
        work_for(caller)
        return caller

    def charge(self, caller: Caller | None) -> None:
        """Count one piece of work for a caller; raises QuotaExceeded, or Unauthenticated once its token has expired."""
        if caller is None:
            return
        if caller.valid_until < time.time():  # in the middle of a stream
            self._turn_away("expired")
        if self._quota is not None:
            try:
                self._quota.charge(caller.key)
            except QuotaExceeded:
                self._metrics.refused("quota")
                raise

    @property
    def turns_away(self) -> bool:
        """Whether `refusal` has to be asked: some caller may be over its quota."""
        return self._quota is not None and self._quota.any_empty

    def refusal(self, operation: str, headers: Mapping[str, str], address: str) -> QuotaExceeded | None:
        """Return what `charge` would raise for a caller who is over its quota; None for all others, known or not."""
        if self._quota is None:
            return None
        identity = None
        if self._tokens is not None:
            identity = self._tokens.known(_token(headers))
            if identity is None or needed_scope(operation) not in identity.scopes:
                return None  # `enter` has another answer, or has to look more closely
        refusal = self._quota.refusal(self._key(identity, headers, address))
        if refusal is not None:
            self._metrics.refused("quota")
        return refusal

    async def _identify(self, tokens: "Tokens", headers: Mapping[str, str]) -> Identity:
        token = _token(headers)
        if not token:
            self._metrics.refused("no_token")
            message = "Bring a token: Authorization: Bearer <token>."
            raise Unauthenticated(message, challenge=_CHALLENGE)
        try:
            return tokens.known(token) or await tokens.verify(token)
        except InvalidToken as error:
            self._turn_away(error.reason, error)

    def _turn_away(self, reason: str, error: InvalidToken | None = None) -> NoReturn:
        # One answer for all reasons: what is wrong with a token concerns who may see the metric.
        self._metrics.refused(reason)
        message = "The token is not valid here, or no longer. Get a new one."
        raise Unauthenticated(message, challenge=f'{_CHALLENGE}, error="invalid_token"') from error

    def _require(self, scope: Scope, identity: Identity) -> None:
        if scope not in identity.scopes:
            self._metrics.refused("scope")
            raise PermissionDenied(
                f"The token does not allow this: it needs the scope '{scope}'.",
                challenge=f'{_CHALLENGE}, error="insufficient_scope", scope="{scope}"',
            )

    def _caller(self, identity: Identity | None, headers: Mapping[str, str], address: str) -> Caller:
        key = self._key(identity, headers, address)
        arm = self._experiment.arm(key, asked=headers.get(ARM_HEADER)) if self._experiment else None
        return Caller(key, arm) if identity is None else Caller(key, arm, identity.valid_until)

    def _key(self, identity: Identity | None, headers: Mapping[str, str], address: str) -> str:
        """Return the name of a caller, which no caller of another kind can bear."""
        if identity is not None:
            return f"subject {identity.subject}"
        named = headers.get(self._caller_header) if self._caller_header else None
        return f"named {named}" if named and len(named) <= _LONGEST_NAME else f"address {address}"


def _token(headers: Mapping[str, str]) -> str:
    authorization = headers.get("authorization", "")
    return authorization[len(_BEARER) :].strip() if authorization[: len(_BEARER)].lower() == _BEARER else ""
