"""The `step` of a flow: its cases, and the statements in them. Knows no declarations.

What a state does becomes plain Python, statement by statement, each under the line of the `.flow`
file that it comes from.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import assert_never

from flowlang import machine, types, walk
from flowlang.codegen import nesting, waits, words
from flowlang.codegen.nesting import Fall, Fork, Guarded, Jump, Spread, Stretch, Wait, comes_back
from flowlang.codegen.page import Page
from flowlang.codegen.scope import Scope
from flowlang.codegen.trees import Atom, Call, Dict, Tree, call
from flowlang.codegen.values import NOTHING, Facts, Values, forget, is_quiet

MAX_ELSES = 4
"""Tests of one `if` that are written below an `else:` because they take more than a line."""


class Steps:
    """Writes the cases of one flow's `step`. `states` has the class of each state that rests."""

    def __init__(
        self,
        source: str,
        machine_: machine.Machine,
        scope: Scope,
        states: Mapping[str, str],
        own_class: str,
    ) -> None:
        self._source = source
        self._machine = machine_
        self._scope = scope
        self._states = states
        self._class = own_class
        self._page = Page(8)
        self._values = Values(scope, words.name)
        self._types = {variable.name: variable.type for variable in machine_.variables}
        self._read = _all_read(machine_)
        self._bindings = _bindings(machine_)
        self._bound: set[str] = set()
        self._known: Facts = NOTHING
        self._line = 0
        self._catching = 0
        self._subject = "at"

    def lines(self) -> list[str]:
        """The body of `step`, indented as in a class."""
        cases = nesting.cases(self._machine)
        labels = any(case.state.tag is None for case in cases)
        if labels:
            self._subject = "label"
            # As a union of all states it would be clearer, and take a type checker minutes.
            self._page.line("label: object = at")
            self._page.open("while True:")
        self._page.open(f"match {self._subject}:")
        for case in cases:
            self._case(case)
        self._page.open("case _:")
        if labels:
            message = Atom(words.text(f"{self._class} has no such state"))
            self._page.put("raise ", call("rt.InvariantBroken", message))
        else:
            self._page.line(f"{self._scope.library('typing')}.assert_never(at)")
        return self._page.lines

    def _state(self, name: str) -> str:
        return f"{self._class}.{self._states[name]}"

    # --- cases ------------------------------------------------------------------------------

    def _case(self, case: nesting.Case) -> None:
        page, state = self._page, case.state
        self._known = NOTHING
        if state.tag is None:
            self._line = 0
            page.open(f"case {words.text(state.name)}:")
        else:
            # The state's own line stands at its class.
            self._line = state.place.line
            page.open(f"case {self._state(state.name)}():")
        for name in state.keeps:
            if name in self._read:
                kept = Atom(f"{self._subject}.{words.state_field(name)}")
                self._bound.add(name)
                page.put(f"{words.name(name)} = ", kept)
        if case.counts:
            page.line("run.tick()")
        self._way(case.body)
        page.close()

    def _way(self, way: nesting.Way) -> None:
        match way:
            case Jump(label=label):
                self._page.line(f"label = {words.text(label)}")
                self._page.line("continue")
            case Fall():
                pass
            case Guarded():
                self._guarded(way)
            case Stretch():
                self._stretch(way)
            case _:
                assert_never(way)

    def _stretch(self, stretch: Stretch) -> None:
        state = stretch.state
        actions = state.actions
        if state.awaits is not None:
            actions = self._delivered(state.awaits, actions)
        self._actions(actions)
        match stretch.ending:
            case Wait():
                if isinstance(state.next, machine.Suspend):
                    self._suspend(state.next)
            case Fork() as fork if isinstance(state.next, machine.Branch):
                self._fork(state.next, fork)
            case Spread() as spread if isinstance(state.next, machine.Choose):
                self._spread(state.next, spread)
            case Spread():
                raise ValueError(f"{state.name} chooses between nothing")
            case Fork():
                raise ValueError(f"{state.name} forks without a condition")
            case Jump() | Fall() | Guarded() | Stretch() as way:
                self._way(way)
            case _:
                assert_never(stretch.ending)
        if stretch.below is not None:
            self._way(stretch.below)

    def _fork(self, branch: machine.Branch, fork: Fork, keyword: str = "if") -> None:
        """An `if`; a way that does not come back lets the other stand below instead of beside."""
        then, otherwise = fork.then, fork.otherwise
        condition, truth = branch.condition, True
        if isinstance(then, Fall) and isinstance(otherwise, Fall):
            self._place(branch.place)
            self._only_do(condition)
            return
        if isinstance(then, Fall) or (comes_back(then) and not comes_back(otherwise)):
            then, otherwise, truth = otherwise, then, False
        self._place(branch.place)
        before = self._known
        direct = self._test(keyword, condition, truth)
        self._way(then)
        self._page.close()
        self._known = before
        if direct:
            self._known |= self._values.shown(condition, not truth, before)
        if isinstance(otherwise, Fall):
            self._known = before
        elif not comes_back(then):
            self._way(otherwise)
        else:
            self._page.open("else:")
            self._way(otherwise)
            self._page.close()
            self._known = NOTHING

    def _spread(self, choose: machine.Choose, spread: Spread) -> None:
        """A `match` on what happened; the last way is all that is left."""
        given = functools.partial(self._values.of, known=self._known)
        tree = waits.chosen(choose.arms, given, self._scope)
        before = self._known
        last = len(spread.ways) - 1
        if last == 0:
            self._page.put("", tree)
            self._way(spread.ways[0])
            return
        self._page.test("match", tree)
        for number, way in enumerate(spread.ways):
            self._page.open(f"case {'_' if number == last else number}:")
            self._way(way)
            self._page.close()
            self._known = before
        self._page.close()
        self._known = NOTHING

    def _test(self, keyword: str, condition: machine.Expr, truth: bool) -> bool:
        """Open `if condition:`; what it shows is known inside. Says whether it shows anything."""
        tree = self._condition(condition, truth)
        direct = self._page.test(keyword, tree)
        if direct:
            self._known |= self._values.shown(condition, truth, self._known)
        return direct

    def _condition(self, condition: machine.Expr, truth: bool = True) -> Tree:
        if truth:
            return self._values.of(condition, self._known)
        return self._values.negated(condition, self._known)

    def _guarded(self, guarded: Guarded) -> None:
        page = self._page
        if _is_calm(guarded.body):
            self._stretch(guarded.body)
            return
        if guarded.catches:
            page.open("try:")
        if guarded.checks:
            page.open("try:")
        self._stretch(guarded.body)
        if guarded.checks:
            page.close()
            self._blame()
        self._known = NOTHING
        if not guarded.catches:
            return
        page.close()
        for handler, way in guarded.catches:
            name = self._except(handler.errors, handler.name, own=False)
            if name is not None and handler.name is not None:
                self._bind(handler.name, Atom(name))
            self._catching += 1
            self._way(way)
            self._catching -= 1
            page.close()
            self._known = NOTHING

    def _blame(self) -> None:
        self._page.open("except rt.Fault as fault:")
        self._page.line("raise rt.Malformed(str(fault)) from fault")
        self._page.close()

    def _except(self, errors: Sequence[str], name: str | None, *, own: bool) -> str | None:
        """Open `except E as …:`; says what the error is called there, if anybody asks. Its `own`
        name is gone when the clause ends, so it is used only where nothing outside needs it."""
        kinds = [self._scope.named(error) for error in errors]
        called = None
        if name is not None and name in self._read:
            called = "error" if self._catching == 0 else f"error_{self._catching + 1}"
            if own:
                called = words.name(name)
                self._bound.add(name)
        self._page.clause(kinds, called)
        return called

    # --- waits ------------------------------------------------------------------------------

    def _suspend(self, suspend: machine.Suspend) -> None:
        self._place(suspend.place)
        target = self._machine.state(suspend.target)
        kept = tuple((words.state_field(name), Atom(words.name(name))) for name in target.keeps)
        state = Call(self._state(target.name), kept)
        given = functools.partial(self._values.of, known=self._known)
        self._page.put("return ", waits.asked(suspend.wait, state, given, self._scope))

    def _delivered(
        self, wait: machine.Wait, actions: tuple[machine.Action, ...]
    ) -> tuple[machine.Action, ...]:
        """What the wait brought, into its variable; the actions that are left after that."""
        match wait:
            case machine.AwaitMessage(type=message, name=name):
                self._bind(name, call("run.received", Atom(self._scope.named(message))))
            case machine.AwaitSubflow(flow=flow, version=version, name=name):
                result = call("run.result", Atom(self._scope.flow(flow, version)))
                return self._result(name, result, actions)
            case machine.AwaitResult(type=kind, name=name):
                return self._result(
                    name, call("run.outcome", self._told(kind)), actions, untyped=True
                )
            case machine.AwaitResults(type=kind, name=name):
                return self._result(
                    name, call("run.outcomes", self._told(kind)), actions, untyped=True
                )
            case machine.AwaitAnswer(type=answer, name=name):
                said = call("run.answer", Atom(self._scope.named(answer)))
                return self._result(name, said, actions, untyped=True)
            case machine.AwaitEach(type=message, name=name, optional=optional):
                asked = "run.received_some" if optional else "run.received_each"
                self._bind(name, call(asked, Atom(self._scope.named(message))))
            case machine.AwaitChoice():
                pass  # The state's end tells what it brought.
            case (
                machine.AwaitTime()
                | machine.AwaitMoment()
                | machine.AwaitCheckpoint()
                | machine.AwaitOperator()
            ):
                # Whoever runs this flow inside its own may have set a deadline, and an operator may
                # throw an error wherever a flow rests.
                self._page.line("run.woken()")
            case _:
                assert_never(wait)
        return actions

    def _result(
        self,
        name: str | None,
        result: Tree,
        actions: tuple[machine.Action, ...],
        *,
        untyped: bool = False,
    ) -> tuple[machine.Action, ...]:
        """What somebody else worked out, into its variable, or straight on to who called us."""
        first = actions[0] if actions else None
        returned = isinstance(first, machine.Return) and first.value == machine.Var(name or "")
        if name is not None and returned:
            self._page.put("return ", call("rt.Return", result))
            return ()
        if name is None:
            self._page.put("", result)
        else:
            self._bind(name, result, untyped=untyped)
        return actions

    def _told(self, kind: types.Type | None) -> Tree:
        return self._scope.kind(kind or types.NONE, field=True)

    # --- actions ----------------------------------------------------------------------------

    def _actions(self, actions: Iterable[machine.Action]) -> bool:
        """Statements one after the other; says whether what follows them is reached."""
        reached = True
        for action in actions:
            reached = self._action(action)
        return reached

    def _action(self, action: machine.Action) -> bool:
        page, of = self._page, self._values.of
        if not isinstance(action, machine.Leave) and not self._is_silent(action):
            self._place(action.place)
        match action:
            case machine.Assign(name=name, value=value):
                self._assign(name, value)
            case machine.Open(name=name, flow=flow, party=party, block=block):
                who = of(party, self._known)
                told = [Atom(words.text(flow)), who, Atom(str(block))]
                if action.by_role:
                    told.append(Atom(words.text(action.plays or "")))
                opened = call("run.open", *told)
                self._bind(name, opened)
            case machine.Send(session=session, value=value):
                to = of(session, self._known)
                page.put("", call("run.send", to, of(value, self._known)))
            case machine.Close(session=session):
                page.put("", call("run.close", of(session, self._known)))
            case machine.Leave(block=block):
                page.line(f"run.leave({block})")
            case machine.Progress():
                self._progress(action)
            case machine.Log(level=level, text=text):
                page.put("", call("run.log", Atom(words.text(level)), of(text, self._known)))
            case machine.Do(value=value):
                page.put("", of(value, self._known))
            case machine.Require(condition=condition, error=error):
                self._require(condition, error)
            case machine.Throw(error=error):
                page.put("raise ", of(error, self._known))
                return False
            case machine.Return(value=value):
                result = Atom("None") if value is None else of(value, self._known)
                page.put("return ", call("rt.Return", result))
                return False
            case machine.If():
                return self._if(action)
            case machine.While():
                return self._while(action)
            case machine.For():
                self._for(action)
            case machine.Break():
                page.line("break")
                return False
            case machine.Continue():
                page.line("continue")
                return False
            case machine.Try():
                return self._try(action)
            case machine.Check(body=body):
                self._check(body)
            case _:
                assert_never(action)
        return True

    def _progress(self, action: machine.Progress) -> None:
        of = self._values.of
        given: list[tuple[str, Tree]] = [("", Atom(words.text(action.step)))]
        if action.label is not None:
            given.append(("", of(action.label, self._known)))
        if action.values:
            entries = [
                (Atom(words.text(name)), of(value, self._known)) for name, value in action.values
            ]
            given.append(("values" if action.label is None else "", Dict(tuple(entries))))
        self._page.put("", Call("run.at", tuple(given)))

    def _place(self, place: machine.Place) -> None:
        """The line of the `.flow` file, once for all that comes from it."""
        if place.line != self._line:
            self._page.comment(f"{self._source}:{place.line}  {place.text}")
            self._line = place.line

    def _is_silent(self, action: machine.Action) -> bool:
        match action:
            case machine.Assign(name=name, value=value):
                return name not in self._read and is_quiet(value)
            case _:
                return _is_idle(action)

    def _assign(self, name: str, value: machine.Expr) -> None:
        if name not in self._read:
            self._only_do(value)
            return
        untyped = isinstance(value, machine.Outcome | machine.Reply)
        self._bind(name, self._values.of(value, self._known), untyped=untyped)

    def _only_do(self, value: machine.Expr) -> None:
        """Compute a value that nobody wants, if that could fail or does something."""
        if is_quiet(value):
            return
        tree = self._values.of(value, self._known)
        if isinstance(tree, Call) or tree.text.startswith("run.service("):
            self._page.put("", tree)
        else:
            self._page.value(tree)

    def _bind(self, name: str, tree: Tree, *, untyped: bool = False) -> None:
        """Give a variable a value; the first time in the text, its type where Python needs it. Of
        what is `untyped` Python knows nothing by itself."""
        written = words.name(name)
        if name not in self._read:
            self._page.put("", tree)
            return
        kind = self._types[name]
        loose = isinstance(kind, types.OptionalType | types.ListType | types.MapType)
        if name not in self._bound and (loose or untyped or self._bindings[name] > 1):
            self._page.declare(written, self._scope.kind(kind), tree)
        else:
            self._page.put(f"{written} = ", tree)
        self._bound.add(name)
        self._known = forget(self._known, written)

    def _require(self, condition: machine.Expr, error: machine.Expr) -> None:
        before = self._known
        direct = self._test("if", condition, False)
        self._page.put("raise ", self._values.of(error, self._known))
        self._page.close()
        self._known = before
        if direct:
            self._known |= self._values.shown(condition, True, before)

    # --- blocks of actions ------------------------------------------------------------------

    def _if(self, action: machine.If) -> bool:
        page = self._page
        ends: list[Facts] = []
        elses = 0
        for number, (condition, body) in enumerate(action.branches):
            tree = self._condition(condition)
            keyword = "if" if number == 0 else "elif"
            if number and not page.fits(keyword, tree) and elses < MAX_ELSES:
                # What has to be computed before the test may be computed only if we get here.
                page.open("else:")
                elses += 1
                keyword = "if"
            before = self._known
            if page.fits(keyword, tree) or keyword == "if":
                direct = self._test(keyword, condition, True)
            else:
                page.open(f"elif {tree.text}:")
                direct = False
            if self._actions(body):
                ends.append(self._known)
            page.close()
            self._known = before
            if direct:
                self._known |= self._values.shown(condition, False, before)
        if action.otherwise:
            page.open("else:")
            if self._actions(action.otherwise):
                ends.append(self._known)
            page.close()
        else:
            ends.append(self._known)
        for _ in range(elses):
            page.close()
        self._known = frozenset.intersection(*ends) if ends else NOTHING
        return bool(ends)

    def _while(self, action: machine.While) -> bool:
        page = self._page
        endless = action.condition == machine.Const("Bool", True)
        self._forget_assigned(action.body)
        before = self._known
        tree = self._condition(action.condition)
        if page.fits("while", tree):
            self._test("while", action.condition, True)
            page.line("run.tick()")
        else:
            page.open("while True:")
            page.line("run.tick()")
            if self._test("if", action.condition, False):
                self._known = before | self._values.shown(action.condition, True, before)
            page.line("break")
            page.close()
        self._actions(action.body)
        page.close()
        self._known = before
        return not endless or _breaks(action.body)

    def _for(self, action: machine.For) -> None:
        if _is_idle(action):
            return
        tree = self._values.of(action.values, self._known)
        if action.map:
            tree = call("sorted", tree)
        self._forget_assigned(action.body)
        before = self._known
        self._page.test(f"for {words.name(action.name)} in", tree)
        self._bound.add(action.name)
        self._page.line("run.tick()")
        self._actions(action.body)
        self._page.close()
        self._known = before

    def _try(self, action: machine.Try) -> bool:
        page = self._page
        before = frozenset(self._known)
        page.open("try:")
        reached = self._actions(action.body)
        page.close()
        self._known = before
        self._forget_assigned(action.body)
        after = self._known
        for catch in action.catches:
            self._known = after
            self._except(catch.errors, catch.name, own=True)
            reached |= self._actions(catch.body)
            page.close()
            self._forget_assigned(catch.body)
            after &= self._known
        self._known = after
        return reached

    def _check(self, body: tuple[machine.Action, ...]) -> None:
        if not _may_fault(body):
            self._actions(body)
            return
        self._page.open("try:")
        self._actions(body)
        self._page.close()
        self._blame()

    def _forget_assigned(self, actions: Iterable[machine.Action]) -> None:
        for action in walk.each(actions):
            if isinstance(action, machine.Assign | machine.For):
                self._known = forget(self._known, words.name(action.name))


def _all_read(machine_: machine.Machine) -> frozenset[str]:
    """The variables that are ever read, be it only to be kept. What is read only to be given to a
    variable that nobody reads is not among them: that is left out."""
    found: set[str] = set()
    perhaps: dict[str, set[str]] = {}
    for state in machine_.states:
        if state.awaits is not None:
            found.update(state.keeps)
        for expression in walk.ending_expressions(state):
            found |= walk.reads(expression)
        for action in _written(state.actions):
            reads = set[str]().union(*[walk.reads(one) for one in walk.expressions(action)])
            if isinstance(action, machine.Assign) and is_quiet(action.value):
                perhaps.setdefault(action.name, set()).update(reads)
            else:
                found |= reads
    todo = [name for name in perhaps if name in found]
    while todo:
        new = perhaps.pop(todo.pop()) - found
        found |= new
        todo += [name for name in new if name in perhaps]
    return frozenset(found)


def _written(actions: Iterable[machine.Action]) -> Iterator[machine.Action]:
    """The actions and all within them, but for loops over nothing."""
    for action in actions:
        if not _is_idle(action):
            yield action
            for body in walk.bodies(action):
                yield from _written(body)


def _is_idle(action: machine.Action) -> bool:
    """Whether it is a loop over an empty list or map, to which Python could give no type."""
    nothing = (machine.Items(()), machine.Entries(()))
    return isinstance(action, machine.For) and action.values in nothing


def _bindings(machine_: machine.Machine) -> Counter[str]:
    """In how many places each variable gets a value."""
    found: Counter[str] = Counter()
    for state in machine_.states:
        found.update(state.keeps)
        if state.awaits is not None:
            found.update(name for name in (walk.delivered(state.awaits),) if name is not None)
        # A `try` may be written several times: once in each case that is inside it.
        found.update(handler.name for handler in state.handlers if handler.name is not None)
        for action in walk.each(state.actions):
            if isinstance(action, machine.Assign | machine.Open | machine.For):
                found[action.name] += 1
    return found


def _is_calm(stretch: Stretch) -> bool:
    """Whether nothing in it can fail, so that nobody need catch anything there."""
    state = stretch.state
    goes_on = isinstance(stretch.ending, Wait | Jump | Fall)
    computed = walk.ending_expressions(state)
    nothing = not (state.awaits is not None or state.actions or stretch.below)
    return nothing and goes_on and all(map(is_quiet, computed))


def _may_fault(body: Iterable[machine.Action]) -> bool:
    """Whether arithmetic or an index could go wrong in it."""
    faulty = machine.Arithmetic | machine.Negate | machine.Item | machine.Divide | machine.Compute
    return any(
        isinstance(at, faulty)
        for action in walk.each(body)
        for expression in walk.expressions(action)
        for at in walk.within(expression)
    )


def _breaks(body: Iterable[machine.Action]) -> bool:
    """Whether a `break` in it belongs to the loop around it."""
    for action in body:
        if isinstance(action, machine.Break):
            return True
        if not isinstance(action, machine.While | machine.For):
            if any(_breaks(inner) for inner in walk.bodies(action)):
                return True
    return False
