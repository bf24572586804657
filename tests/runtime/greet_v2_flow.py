"""The second version of a flow, beside the first one of `greet_v1_flow`."""

from __future__ import annotations

import typing

from flowrt.core import flow as rt


class Manners(typing.Protocol):
    def greeting(self, tx: rt.Tx, /) -> str: ...

    def farewell(self, tx: rt.Tx, name: str, /) -> str: ...


MANNERS: rt.ServiceKey[Manners] = rt.ServiceKey(
    "greet.Manners",
    rt.Operation("greeting", "read", (), str),
    rt.Operation("farewell", "read", ("name",), str),
)


class Greeter_v2(rt.Flow[str]):
    """Version 2: asks more of the same service."""

    contract = 2
    name = "greet.Greeter"
    version = 2
    startable = ("rpc",)
    services = (MANNERS,)

    def __init__(self, *, name: str) -> None:
        rt.refuse_call(Greeter_v2, name=name)

    class Start(rt.State, frozen=True, array_like=True, gc=False, tag=0):
        name: str

    class Checkpoint(rt.State, frozen=True, array_like=True, gc=False, tag=1):
        name: str
        said: str

    States = Start | Checkpoint
    Result = str

    @classmethod
    def step(cls, at: Start | Checkpoint, run: rt.Run) -> rt.Step[str]:
        manners = run.service(MANNERS)
        match at:
            case Greeter_v2.Start():
                said = manners.greeting(run.tx)
                return rt.Checkpoint(Greeter_v2.Checkpoint(name=at.name, said=said))
            case Greeter_v2.Checkpoint():
                return rt.Return(f"v2: {at.said} {manners.farewell(run.tx, at.name)}")
