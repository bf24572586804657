"""Which flow classes a node can run: versions side by side, under their versioned names.

It looks generated classes over once, when they are registered; it never compiles or imports by a
name that came from a peer.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Collection, Iterable
from types import ModuleType
from typing import Any

from flowrt.core.flow import (
    CONTRACT,
    Flow,
    FlowError,
    Message,
    Operation,
    Schedule,
    ServiceKey,
    Value,
)
from flowrt.core.progress import number_of
from flowrt.core.values import BadBytes, Checkpoint, OnSettling, decode_checkpoint

AnyFlow = type[Flow[Any]]


def unversioned(name: str) -> str:
    """The flow's name without its version: `trade.Seller` of `trade.Seller_v1`."""
    return name.rpartition("_v")[0]


class NotRegistrable(Exception):
    """A module or class that this runtime cannot run; says which, why and the remedy."""


class Registry:
    """The flows of a node. Two versions of one flow are two classes and may run side by side."""

    def __init__(self, modules: Iterable[ModuleType] = ()) -> None:
        self.classes: dict[str, AnyFlow] = {}
        self.names: dict[AnyFlow, str] = {}
        self.step_names: dict[str, tuple[str, ...]] = {}
        self.errors: dict[str, type[FlowError]] = {}
        self.messages: dict[str, type[Message]] = {}
        self.schedules: list[Schedule] = []
        self._versions: dict[str, dict[int, AnyFlow]] = {}
        self._by_role: dict[str, dict[str, AnyFlow]] = {}
        self._modules: set[str] = set()
        self._services: tuple[ServiceKey[Any], ...] | None = None
        for module in modules:
            self.add_module(module)
        self._check_others()
        self._check_schedules()

    def add_module(self, module: ModuleType) -> None:
        """Register every generated flow that the module holds, and those that these call."""
        if module.__name__ in self._modules:
            return
        self._modules.add(module.__name__)
        flows = [value for value in vars(module).values() if _is_generated(value)]
        if not flows and not any(_is_declared(value) for value in vars(module).values()):
            raise NotRegistrable(
                f"module {module.__name__} holds no generated flows; "
                "pass what `flowc compile` made, such as `import trade_flow`"
            )
        for value in vars(module).values():
            if inspect.isclass(value) and issubclass(value, Message) and value.wire:
                self.messages[value.wire] = value
            # A service may throw any declared error, also one that no flow here names.
            if _is_error(value):
                self.errors.setdefault(value.wire, value)
        for flow in flows:
            self.add(flow)
            home = sys.modules.get(flow.__module__)
            if home is not None:
                self.add_module(home)
        self.schedules += getattr(module, "SCHEDULES", ())

    def add(self, flow: AnyFlow) -> None:
        """Register one generated class.

        Raises:
            NotRegistrable: generated for another contract, or another class has its versioned name.
        """
        if flow.contract != CONTRACT:
            raise NotRegistrable(
                f"{flow.__name__} was generated for contract {flow.contract}, this runtime has "
                f"{CONTRACT}; compile it again with the flowc of this version"
            )
        name = flow.versioned()
        known = self.classes.get(name)
        if known is flow:
            return
        if known is not None:
            raise NotRegistrable(
                f"two classes are named {name}: in {known.__module__} and in {flow.__module__}; "
                "give the newer one another `version`"
            )
        self._services = None
        self.classes[name] = flow
        self.names[flow] = name
        self.step_names[name] = tuple([step.name for step in flow.steps])
        self.errors.update(flow.errors)
        self._versions.setdefault(flow.name, {})[flow.version] = flow
        if flow.responds_to is not None:
            for role in flow.roles:
                protocol = flow.responds_to.rpartition(".")[0]
                if role.rpartition(".")[0] == protocol and role != flow.responds_to:
                    self._by_role.setdefault(role, {})[flow.name] = flow

    def _check_others(self) -> None:
        for flow in self.classes.values():
            for verb, names in (("calls", flow.subflows), ("starts", flow.starts)):
                for name in names:
                    if name not in self.classes:
                        raise NotRegistrable(
                            f"{flow.__name__} {verb} {name}, which is not registered; "
                            "pass its module to the node as well"
                        )

    def _check_schedules(self) -> None:
        known: dict[str, Schedule] = {}
        for schedule in self.schedules:
            flow = schedule.flow
            if "schedule" not in flow.startable:
                raise NotRegistrable(
                    f"schedule {schedule.name} starts {flow.__name__}, which is not "
                    "`startable by schedule`"
                )
            if flow not in self.names:
                raise NotRegistrable(
                    f"schedule {schedule.name} starts {flow.__name__}, which is not registered; "
                    "pass its module to the node as well"
                )
            if known.setdefault(schedule.name, schedule) is not schedule:
                raise NotRegistrable(f"two schedules are named {schedule.name}; rename one")

    def newest(self, name: str) -> AnyFlow | None:
        """The flow of that name without a version, in its newest one."""
        versions = self._versions.get(name)
        return versions[max(versions)] if versions else None

    def states_of(self, name: str) -> Any:
        """The union of states of the flow with that versioned name. KeyError if unknown."""
        return self.classes[name].States

    def checkpoint(self, data: bytes) -> Checkpoint:
        """A flow at rest, from its bytes.

        Raises:
            BadBytes: these are not the bytes of a flow at rest.
            KeyError: its flow, which it names, is not installed.
        """
        checkpoint = decode_checkpoint(data, self.states_of)
        if bool(checkpoint.frames) == (type(checkpoint.waiting) is OnSettling):
            raise BadBytes("the checkpoint has no state, or one after its end")
        for frame in checkpoint.frames:
            if not -1 <= number_of(frame.step) < len(self.step_names[frame.flow]):
                raise BadBytes(f"{frame.flow} has no progress step {number_of(frame.step)}")
        return checkpoint

    def responder(self, flow: str, initiator: str) -> AnyFlow | None:
        """The newest version of the flow of that name, or of the one that answers for that role,
        which responds to this initiator."""
        versions = self._versions.get(self._answers(flow), {})
        fitting = [v for v, found in versions.items() if found.responds_to == initiator]
        return versions[max(fitting)] if fitting else None

    def initiators(self, flow: str) -> set[str]:
        """To whom the versions of a flow respond, "" for those that do not; none if there is no
        such flow."""
        versions = self._versions.get(self._answers(flow), {})
        return {found.responds_to or "" for found in versions.values()}

    def _answers(self, flow: str) -> str:
        """The name of the flow that answers as `flow`, which may be a role of a protocol."""
        return next(iter(self._by_role.get(flow, ())), flow)

    def check_roles(self, settled: Collection[str] = ()) -> None:
        """Refuse two flows that answer for one role, unless it is settled which of them does.

        Raises:
            NotRegistrable: names both.
        """
        for role, found in self._by_role.items():
            if len(found) > 1 and role not in settled:
                one, two = list(found.values())[:2]
                raise NotRegistrable(
                    f"two flows answer for {role}: {one.versioned()} of {one.__module__} and "
                    f"{two.versioned()} of {two.__module__}; pass the module of only one of them, "
                    f"or say which with `responders={{{role!r}: …}}`"
                )

    def services(self) -> list[ServiceKey[Any]]:
        """Every service that a registered flow uses, by name, with all the operations that any
        version of a flow calls.

        Raises:
            NotRegistrable: two versions call one operation with different parameters or results.
        """
        if self._services is not None:
            return list(self._services)
        found: dict[str, dict[str, Operation]] = {}
        for flow in self.classes.values():
            for key in flow.services:
                operations = found.setdefault(key.name, {})
                for operation in key.operations:
                    if operations.setdefault(operation.name, operation) != operation:
                        raise NotRegistrable(
                            f"{flow.__name__} calls {key.name}.{operation.name} otherwise than "
                            "another flow of this node; an operation that a living version uses "
                            "keeps its parameters and its result: give the new one another name"
                        )
        self._services = tuple([ServiceKey(name, *found[name].values()) for name in sorted(found)])
        return list(self._services)


def _is_error(value: object) -> bool:
    """Whether it is an error that a module declares, or uses."""
    if not inspect.isclass(value) or not issubclass(value, FlowError) or value is FlowError:
        return False
    return not value.builtin and "wire" in vars(value)


def _is_generated(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, Flow) and value is not Flow


def _is_declared(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, FlowError | Value)
