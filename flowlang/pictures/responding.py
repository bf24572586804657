"""Who answers where a session is opened: the flow that is named, or one that plays the role that is
named. Knows checked trees, and no scene."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from flowlang import syntax, types


def responder(
    project: Mapping[str, types.Checked],
    checked: types.Checked,
    node: syntax.Open,
    followed: Container[str] = (),
) -> str:
    """The qualified name of the flow that answers; of several that play a role, one of `followed`,
    else the first. Where there is none, that of the role."""
    meaning = checked.meaning_of[node.flow]
    if not isinstance(meaning, types.ProtocolInfo):
        assert isinstance(meaning, types.FlowInfo)
        return meaning.name
    assert node.role is not None
    found = list(_playing(project, meaning, meaning.other(node.role.name)))
    return next(
        (name for name in found if name in followed),
        found[0] if found else f"{meaning.name}.{node.role.name}",
    )


def initiator(checked: types.Checked, node: syntax.Responds) -> str:
    """The qualified name of the flow, or the role, that opens what a flow responds to."""
    meaning = checked.meaning_of[node.flow]
    assert isinstance(meaning, types.FlowInfo | types.ProtocolInfo)
    return meaning.name if node.role is None else f"{meaning.name}.{node.role.name}"


def _playing(
    project: Mapping[str, types.Checked], protocol: types.ProtocolInfo, opener: str
) -> Iterator[str]:
    """The flows that respond to whoever plays the role `opener`."""
    for checked in project.values():
        for info in checked.infos.values():
            if not isinstance(info, types.FlowInfo):
                continue
            responds = info.declaration.responds
            if responds is None or responds.role is None or responds.role.name != opener:
                continue
            named = checked.meaning_of.get(responds.flow)
            if isinstance(named, types.ProtocolInfo) and named.name == protocol.name:
                yield info.name
