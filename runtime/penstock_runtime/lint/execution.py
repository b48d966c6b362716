"""A kernel followed from its top function on: loops with PIPELINE once, with a counter that is not
known, and what is unrolled in them iteration by iteration; calls as if they stood where they are.
"""

from __future__ import annotations

from penstock_runtime.lint.calls import Caller
from penstock_runtime.lint.finding import Findings
from penstock_runtime.lint.pragmas import Pragma
from penstock_runtime.lint.reader import Kernel
from penstock_runtime.lint.scopes import assigned_in, number_of, variables_of
from penstock_runtime.lint.state import Array, Contents, Pipeline, Spot
from penstock_runtime.lint.tree import (
    Block,
    Declare,
    Do,
    Expr,
    Function,
    If,
    Loop,
    Return,
    Skipped,
    Statement,
    Variable,
)
from penstock_runtime.lint.values import Value
from penstock_runtime.lint.walk import walk

MOST_ITERATIONS = 1 << 16
"""Of one loop, unrolled."""
GOES_ON, MAY_RETURN, RETURNS = range(3)
ABOUT_ARRAYS = {"AGGREGATE", "ARRAY_PARTITION", "ARRAY_RESHAPE", "BIND_STORAGE", "DEPENDENCE"}


class Execution(Caller):
    """Follows statements.

    attributes: the pragmas about each variable that is declared, with the number of its dimensions
    that lie outside of what the pragma's function sees of it.
    """

    def __init__(self, kernel: Kernel, findings: Findings) -> None:
        super().__init__(kernel, findings)
        self.attributes: dict[Variable, dict[Pragma, int]] = {}
        self._about_arrays: dict[Function, list[tuple[Pragma, Variable]]] = {}

    def run(self, top: Function) -> None:
        """Follow the top function. Its pointers are memory ports."""
        for variable in top.parameters:
            memory = self.state.memory(variable, is_port=variable.type.pointers > 0)
            self.environment[variable] = Spot(Array(memory), variable.type.dims)
        self.body(top)

    def body(self, function: Function) -> None:
        """What a function does; with PIPELINE it is a pipeline, called once an iteration."""
        self._note_pragmas(function)
        pragma = function.body.pragma("PIPELINE")
        if pragma is None or "off" in pragma.words or self.state.pipeline is not None:
            self._block(function.body)
            return
        with_calls = Pipeline(
            function.at, function.name, "", self._interval(pragma), None, len(self.state.guards)
        )
        self._in_pipeline(with_calls, function.body)

    def _note_pragmas(self, function: Function) -> None:
        """What the pragmas of a function say of arrays, told of where these are declared."""
        if function not in self._about_arrays:
            known = variables_of(function, self.kernel.globals)
            blocks = (node for node in walk(function.body) if isinstance(node, Block))
            pragmas = [pragma for block in blocks for pragma in block.pragmas]
            self._about_arrays[function] = [
                (pragma, known[name])
                for pragma in pragmas
                if pragma.name in ABOUT_ARRAYS and (name := pragma.variable.split(".")[0]) in known
            ]
        for pragma, variable in self._about_arrays[function]:
            self._note(pragma, variable)

    def _note(self, pragma: Pragma, variable: Variable) -> None:
        shift = 0
        if variable.storage == "parameter" and variable in self.environment:
            spot = self.environment[variable]
            variable, shift = spot.array.memory.variable, len(spot.indices)
        self.attributes.setdefault(variable, {})[pragma] = shift

    def _block(self, block: Block) -> int:
        with self.state.scope():
            return self._items(block)

    def _items(self, block: Block) -> int:
        for index, item in enumerate(block.items):
            done = self._statement(item)
            if done == RETURNS:
                return RETURNS
            if done == MAY_RETURN and index + 1 < len(block.items):
                self._skip_statement(item, "return on a condition, with statements behind it")
        return GOES_ON

    def _statement(self, statement: Statement) -> int:
        match statement:
            case Do(expr=expr):
                self.value(expr)
            case Declare():
                self._declare(statement)
            case If():
                return self._if(statement)
            case Loop():
                self._loop(statement)
            case Block():
                return self._block(statement)
            case Return(value=value):
                self.returned.append(Value(0) if value is None else self.value(value))
                return RETURNS
            case Skipped(what=what):
                self._skip_statement(statement, what)
        return GOES_ON

    def _skip_statement(self, statement: Statement, what: str) -> None:
        self.findings.add("not-analysed", statement.at, what, "write it in simpler C++")

    def _declare(self, statement: Declare) -> None:
        variable, init = statement.variable, statement.init
        if variable.type.is_reference and init is not None:
            spot = self.spot(init)
            if spot is not None:
                self.environment[variable] = spot
                return
        if variable.is_kept:
            self.bind(variable)
            return
        value = self.value(init) if init is not None else None
        array = Array(self.bind(variable))
        if value is not None:
            self.state.set_content(array, value)

    def _if(self, statement: If) -> int:
        test, other = self.value(statement.test), statement.other
        if test.known is not None:
            if test.known:
                return self._block(statement.then)
            return self._block(other) if other is not None else GOES_ON
        before = dict(self.state.contents)
        with self.state.where(self.atoms.guards(test, True)):
            first = self._block(statement.then)
        after, self.state.contents = self.state.contents, before
        second = GOES_ON
        if other is not None:
            with self.state.where(self.atoms.guards(test, False)):
                second = self._block(other)
        self._merge(test, after)
        if first == second:
            return first
        return MAY_RETURN

    def _merge(self, test: Value, then: Contents) -> None:
        """Contents after a condition: those of either side."""
        own = self.state.contents
        for key in {*own, *then}:
            first, second = then.get(key), own.get(key)
            if first is None or second is None:
                own.pop(key, None)
            elif first != second:
                own[key] = self.atoms.of("?:", test, first, second)

    def _loop(self, loop: Loop) -> None:
        with self.state.scope():
            self._any_loop(loop)

    def _any_loop(self, loop: Loop) -> None:
        if loop.setup is not None:
            self._statement(loop.setup)
        if self.state.pipeline is not None or loop.body.pragma("UNROLL") is not None:
            self._unroll(loop)
        else:
            self._iterate(loop)

    def _unroll(self, loop: Loop) -> None:
        pragma, inside = loop.body.pragma("UNROLL"), self.state.pipeline
        if pragma is None:
            self.findings.add("inner-unroll", loop.at, "a loop in a pipeline has no UNROLL pragma")
        elif "factor" in pragma.options:
            self._skip_statement(loop, "a loop that is unrolled in part")
        if inside is not None:
            inside.unrolled += 1
        for _ in range(MOST_ITERATIONS):
            test = self.value(loop.test).known
            if test is None:
                self.findings.add(
                    "variable-bound", loop.at, "the bound of an unrolled loop is no constant",
                    "count to a constant maximum, with a condition in the body",
                )  # fmt: skip
                self._once(loop)
            if not test:
                break
            self._block(loop.body)
            if loop.step is not None:
                self.value(loop.step)
        else:
            self._skip_statement(loop, f"a loop that is unrolled {MOST_ITERATIONS:,} times or more")
        if inside is not None:
            inside.unrolled -= 1

    def _once(self, loop: Loop) -> None:
        """An iteration of which nothing is known."""
        self._forget_what_changes(loop)
        self.value(loop.test)
        self._block(loop.body)
        if loop.step is not None:
            self.value(loop.step)
        self._forget_what_changes(loop)

    def _iterate(self, loop: Loop) -> None:
        self._check_trip_count(loop)
        pragma = loop.body.pragma("PIPELINE")
        if pragma is None or "off" in pragma.words:
            self._once(loop)
            return
        self._forget_what_changes(loop)
        counter = self._count(loop)
        function = self.function_name
        pipeline = Pipeline(
            loop.at, function, loop.label, self._interval(pragma), counter, len(self.state.guards)
        )
        self._in_pipeline(pipeline, loop.body, loop.test, loop.step)
        self._forget_what_changes(loop)

    def _count(self, loop: Loop) -> int | None:
        """Give the loop's counter a value that is an atom. -> the atom."""
        variable = loop.counter
        if variable is None:
            return None
        value = self.atoms.fresh("counter")
        self.state.set_content(self.environment[variable].array, value)
        return value.terms[0][0]

    def _check_trip_count(self, loop: Loop) -> None:
        pragma = loop.body.pragma("LOOP_TRIPCOUNT")
        has_most = pragma is not None and "max" in pragma.options
        if self.value(loop.test).known is None and not has_most:
            self.findings.add(
                "trip-count", loop.at, "a loop with a variable bound has no LOOP_TRIPCOUNT max",
                "without it reports tell no latency",
            )  # fmt: skip

    def _forget_what_changes(self, loop: Loop) -> None:
        for variable in assigned_in(loop):
            if variable in self.environment:
                self.state.forget(self.environment[variable].array.memory)
        self.state.forget_kept()

    def _in_pipeline(self, pipeline: Pipeline, body: Block, *around: Expr | None) -> None:
        self.state.pipeline = pipeline
        self.state.pipelines.append(pipeline)
        for expr in around[:1]:
            if expr is not None:
                self.value(expr)
        self._block(body)
        for expr in around[1:]:
            if expr is not None:
                self.value(expr)
        self.state.pipeline = None

    def _interval(self, pragma: Pragma) -> int:
        return number_of(pragma.options.get("ii", "1"), self.kernel.constants) or 1
