"""Tracing of a served node: from its configuration to `flowrt.tracing`.

Imported only for nodes that are traced.
"""

from __future__ import annotations

import time

from flowrt.serving.apps import AppTrouble, target
from flowrt.serving.config import Config
from flowrt.serving.troubles import Refused, Trouble, nearest
from flowrt.turn import Observer


def tracing_of(config: Config) -> tuple[Observer, list[Trouble]]:
    """Who tells a node's spans, and what is worth a warning.

    Raises:
        Refused: OpenTelemetry is not installed, the provider is none, or a peer is not known.
    """
    wanted = config.settings.tracing
    assert wanted is not None
    try:
        from opentelemetry import trace

        from flowrt.tracing import Tracing
    except ModuleNotFoundError as error:
        cause = f"traces need Python's `{error.name}`, which is not there"
        remedy = "pip install 'flowlang-dsl[otel]', or remove the table"
        raise Refused([config.trouble("tracing", cause, remedy)]) from None
    warnings: list[Trouble] = []
    if wanted.provider is not None:
        try:
            provider = target(wanted.provider)()
        except AppTrouble as error:
            raise Refused([config.trouble("tracing.provider", error.cause, error.remedy)]) from None
        except Exception as error:
            cause = f"{wanted.provider} gives no provider: {type(error).__name__}: {error}"
            raise Refused([config.trouble("tracing.provider", cause)]) from None
        if not hasattr(provider, "get_tracer"):
            cause = f"{wanted.provider} gives {type(provider).__name__}, no provider of tracers"
            raise Refused([config.trouble("tracing.provider", cause)])
    else:
        provider = trace.get_tracer_provider()
        if isinstance(provider, trace.ProxyTracerProvider):
            cause = "no OpenTelemetry SDK is set up, so spans go nowhere"
            remedy = "run it under `opentelemetry-instrument`, or name a `provider`"
            warnings.append(config.trouble("tracing", cause, remedy, warns=True))
    known = config.settings.peers
    if config.settings.ledger is None:
        # With a ledger the map has them, and another one tomorrow.
        for name in wanted.peers:
            if name not in known:
                cause = f"there is no peer `{name}`"
                raise Refused([config.trouble("tracing.peers", cause, nearest(name, known))])
    made = Tracing(
        config.settings.name, provider, wanted.peers, clock=lambda: time.time_ns() // 1000
    )
    return made, warnings
