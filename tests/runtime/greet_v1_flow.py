"""The first version of a flow, beside the second one of `greet_v2_flow`."""

from __future__ import annotations

import typing

from flowrt.core import flow as rt


class Manners(typing.Protocol):
    def greeting(self, tx: rt.Tx, /) -> str: ...


MANNERS: rt.ServiceKey[Manners] = rt.ServiceKey(
    "greet.Manners", rt.Operation("greeting", "read", (), str)
)


class Greeter_v1(rt.Flow[str]):
    """Version 1: version 2 is in the other module and asks more of the same service."""

    contract = 2
    name = "greet.Greeter"
    version = 1
    startable = ("rpc",)

    services = (MANNERS,)

    def __init__(self, *, name: str) -> None:
        rt.refuse_call(Greeter_v1, name=name)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        name: str

    class Checkpoint(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        name: str

    States = Start | Checkpoint
    Result = str

    @classmethod
    def step(cls, at: Start | Checkpoint, run: rt.Run) -> rt.Step[str]:
        match at:
            case Greeter_v1.Start():
                return rt.Checkpoint(Greeter_v1.Checkpoint(name=at.name))
            case Greeter_v1.Checkpoint():
                said = run.service(MANNERS).greeting(run.tx)
                return rt.Return(f"v1: {said} {at.name}")
