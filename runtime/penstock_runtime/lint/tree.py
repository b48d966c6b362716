"""What the rules look at: functions, statements and expressions of a kernel, free of libclang.

Templates stand here as they were instantiated, with constants in the place of their parameters,
and every constant expression as its value. A construct that has no form here is an ``Unknown``.
"""

from __future__ import annotations

from dataclasses import dataclass

from penstock_runtime.lint.pragmas import Place, Pragma


@dataclass(frozen=True)
class Type:
    """Of a variable or an expression; a reference is told by ``is_reference``, the rest is of what
    it refers to. is_axis: a beat of an AXI stream (ap_axiu), or a stream of them.

    dims: extents of an array, without those of its elements. bits: width of an integer, of C++ or
    AMD's. pointers: how many stars; an array parameter with a known extent is an array.
    """

    name: str
    dims: tuple[int, ...] = ()
    pointers: int = 0
    bits: int | None = None
    is_reference: bool = False
    is_const: bool = False
    is_volatile: bool = False
    is_stream: bool = False
    is_axis: bool = False
    is_record: bool = False
    is_amd: bool = False
    is_variable_length: bool = False

    @property
    def is_value(self) -> bool:
        """Whether it is read and written as a whole: no array, no pointer, no stream."""
        return not (self.dims or self.pointers or self.is_stream)


@dataclass(frozen=True, eq=False)
class Variable:
    """A declared name. storage: local, static, global or parameter. init: of constants alone."""

    name: str
    type: Type
    storage: str
    at: Place
    is_vendors: bool = False

    @property
    def is_kept(self) -> bool:
        """Whether its value outlives a call."""
        return self.storage in ("static", "global")


@dataclass(frozen=True, eq=False)
class Node:
    """Anything in a function's body."""

    at: Place


@dataclass(frozen=True, eq=False)
class Expr(Node):
    """An expression."""

    type: Type


@dataclass(frozen=True, eq=False)
class Unknown(Expr):
    """What the lint has no form for; ``what`` is clang's name of it."""

    what: str
    parts: tuple[Expr, ...] = ()


@dataclass(frozen=True, eq=False)
class Const(Expr):
    """An integer that is known when the kernel is compiled; of an enum or a bool, too."""

    value: int


@dataclass(frozen=True, eq=False)
class Literal(Expr):
    """A constant that is no integer: text, a floating point number."""


@dataclass(frozen=True, eq=False)
class Name(Expr):
    """A variable."""

    variable: Variable


@dataclass(frozen=True, eq=False)
class Element(Expr):
    """``base[index]``; also ``*base``."""

    base: Expr
    index: Expr


@dataclass(frozen=True, eq=False)
class Member(Expr):
    """``base.field``."""

    base: Expr
    field: str


@dataclass(frozen=True, eq=False)
class Unary(Expr):
    """``op operand``; for increments see Assign."""

    op: str
    operand: Expr


@dataclass(frozen=True, eq=False)
class Binary(Expr):
    """``left op right``, of C++ or of AMD's types."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, eq=False)
class Assign(Expr):
    """``target op= value``; op is empty for a plain assignment. ``++n`` is ``n += 1``."""

    op: str
    target: Expr
    value: Expr


@dataclass(frozen=True, eq=False)
class Choice(Expr):
    """``test ? then : other``."""

    test: Expr
    then: Expr
    other: Expr


@dataclass(frozen=True, eq=False)
class Convert(Expr):
    """A value brought to ``type``, which may drop bits."""

    value: Expr


@dataclass(frozen=True, eq=False)
class Construct(Expr):
    """An object of ``type`` from arguments, or from a list of initial values."""

    arguments: tuple[Expr, ...]
    is_list: bool = False


@dataclass(frozen=True)
class Parameter:
    """How a function takes an argument."""

    type: Type

    @property
    def is_written(self) -> bool:
        """Whether the function may write what it is given."""
        own = self.type
        shares = own.is_reference or own.pointers > 0 or bool(own.dims) or own.is_stream
        return shares and not own.is_const


@dataclass(frozen=True)
class Callee:
    """A function as its callers see it. origin: kernel, vendor (AMD's headers) or other.

    key: names the function with its template arguments.
    """

    key: str
    name: str
    origin: str
    parameters: tuple[Parameter, ...]
    is_const: bool = False


@dataclass(frozen=True, eq=False)
class Call(Expr):
    """A call; ``receiver`` is the object of a method."""

    callee: Callee
    receiver: Expr | None
    arguments: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Statement(Node):
    """A statement."""


@dataclass(frozen=True, eq=False)
class Block(Statement):
    """``{ ... }`` with the pragmas that stand in it, and in no block inside it."""

    items: tuple[Statement, ...]
    pragmas: tuple[Pragma, ...]

    def pragma(self, name: str) -> Pragma | None:
        """The first pragma of a name."""
        return next((pragma for pragma in self.pragmas if pragma.name == name), None)


@dataclass(frozen=True, eq=False)
class Declare(Statement):
    """A local variable; ``init`` is None if it is declared without a value."""

    variable: Variable
    init: Expr | None


@dataclass(frozen=True, eq=False)
class Do(Statement):
    """An expression as a statement."""

    expr: Expr


@dataclass(frozen=True, eq=False)
class If(Statement):
    """A condition."""

    test: Expr
    then: Block
    other: Block | None


@dataclass(frozen=True, eq=False)
class Loop(Statement):
    """A loop; of ``while`` there is a test alone. label: empty if it has none."""

    label: str
    setup: Statement | None
    test: Expr
    step: Expr | None
    body: Block

    @property
    def counter(self) -> Variable | None:
        """The variable that the loop declares."""
        return self.setup.variable if isinstance(self.setup, Declare) else None


@dataclass(frozen=True, eq=False)
class Return(Statement):
    """``return``, with a value or without."""

    value: Expr | None


@dataclass(frozen=True, eq=False)
class Skipped(Statement):
    """A statement that the lint has no form for; nothing if ``what`` is empty."""

    what: str


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the kernel, or an instance of a template."""

    key: str
    name: str
    at: Place
    parameters: tuple[Variable, ...]
    body: Block
    is_void: bool

    @property
    def is_inline(self) -> bool:
        """Whether it is dissolved in its callers: INLINE without off."""
        pragma = self.body.pragma("INLINE")
        return pragma is not None and "off" not in pragma.words
