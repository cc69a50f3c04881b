"""Numba types for lanes: the compiler's half of :mod:`coolcap_envs.physics.lanes`.

A lane type is an LLVM vector of ``LANES`` numbers, truth values or 64-bit words, one per plant of a
tile. Arithmetic and comparisons on it become vector instructions, so that a law written for numbers
compiles for eight plants as it stands. Left to itself LLVM did not vectorise the loops: aliasing of
record fields and the size of a group's law stopped it, and the result was 7 times slower.
"""

# Numba's own types are declared in part only, those for extensions hardly at all.
# mypy: disable-error-code="attr-defined, import-untyped, misc, no-untyped-call, override"
# mypy: allow-untyped-decorators
# mypy: enable-error-code="ignore-without-code"
# pyright: basic
# pyright: reportPrivateImportUsage=false, reportOptionalCall=false, reportAttributeAccessIssue=false

import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models, register_default
from numba.core.imputils import (
    lower_builtin,
    lower_cast,
    lower_getattr_generic,
    lower_setattr_generic,
)
from numba.core.typeconv import Conversion
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    infer_global,
    signature,
)
from numba.extending import intrinsic

LANES: Final = 8
"""Plants side by side: one AVX-512 vector of float64; two or four vectors on other machines."""

_FLAGS: Final = ("contract",)
"""A product and a sum may fuse. All lanes run the same instructions, so they stay equal bit for bit
whatever their neighbours hold; NaN and infinity keep their meaning."""
_ALIGN: Final = 8
_I32: Final = ir.IntType(32)
_FLOATS: Final = ir.VectorType(ir.DoubleType(), LANES)
_WORDS: Final = ir.VectorType(ir.IntType(64), LANES)
_MASK: Final = ir.VectorType(ir.IntType(1), LANES)

Emit = Callable[..., Any]


class _Numbers(types.Type):
    """Lanes of numbers; a single number counts as the same number in every lane."""

    def unify(self, typingctx: Any, other: Any) -> Any:  # noqa: ANN401
        return self if isinstance(other, types.Number) else None

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:  # noqa: ANN401
        return Conversion.safe if isinstance(other, types.Number) else None


class FloatLanes(_Numbers):
    """float64 per lane."""


class WordLanes(_Numbers):
    """uint64 per lane."""


class MaskLanes(types.Type):
    """A truth value per lane; a single one counts as the same in every lane."""

    def can_convert_from(self, typingctx: Any, other: Any) -> Any:  # noqa: ANN401, D102
        return Conversion.safe if isinstance(other, types.Boolean) else None


class RowType(types.Type):
    """A record whose fields hold one number per lane; its attributes are lanes."""

    def __init__(self, record: Any) -> None:  # noqa: ANN401
        self.record = record
        super().__init__(name=f"row({record.name})")


FLOATS: Final = FloatLanes("float lanes")
WORDS: Final = WordLanes("word lanes")
MASK: Final = MaskLanes("mask lanes")
_VECTORS: Final = {FLOATS: _FLOATS, WORDS: _WORDS, MASK: _MASK}


def _register_model(kind: type, vector: Any) -> None:  # noqa: ANN401
    class Model(models.PrimitiveModel):
        def __init__(self, manager: Any, lane_type: Any) -> None:  # noqa: ANN401
            super().__init__(manager, lane_type, vector)

    register_default(kind)(Model)


for _kind, _vector in (
    (FloatLanes, _FLOATS),
    (WordLanes, _WORDS),
    (MaskLanes, _MASK),
    (RowType, ir.IntType(8).as_pointer()),
):
    _register_model(_kind, _vector)


def _in_every_lane(builder: Any, value: Any, vector: Any) -> Any:  # noqa: ANN401
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_I32, 0))
    everywhere = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, undefined, everywhere)


@lower_cast(types.Float, FloatLanes)
@lower_cast(types.Integer, FloatLanes)
def _float_to_lanes(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:  # noqa: ANN401
    return _in_every_lane(builder, context.cast(builder, value, fromty, types.float64), _FLOATS)


@lower_cast(types.Integer, WordLanes)
def _integer_to_lanes(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:  # noqa: ANN401
    return _in_every_lane(builder, context.cast(builder, value, fromty, types.uint64), _WORDS)


@lower_cast(types.Boolean, MaskLanes)
def _truth_to_lanes(context: Any, builder: Any, fromty: Any, toty: Any, value: Any) -> Any:  # noqa: ANN401
    return _in_every_lane(builder, value, _MASK)


def _operator(of: Any, *, kind: Any, gives: Any, emit: Emit, arity: int = 2) -> None:  # noqa: ANN401
    """Let operator ``of`` take lanes of ``kind``, mixed with numbers, and give ``gives``."""

    class Template(AbstractTemplate):
        key = of

        def generic(self, args: Any, kws: Any) -> Any:  # noqa: ANN401
            single = types.Boolean if kind == MASK else types.Number
            fits = all(a == kind or isinstance(a, single) for a in args)
            if len(args) == arity and kind in args and fits:
                return signature(gives, *[kind] * arity)
            return None

    infer_global(of)(Template)

    def lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        return emit(builder, *args)

    lower_builtin(of, *[type(kind)] * arity)(lower)


def _instruction(name: str, **options: Any) -> Emit:  # noqa: ANN401
    return lambda builder, *args: getattr(builder, name)(*args, **options)


def _comparison(symbol: str) -> Emit:
    if symbol == "!=":  # as in Python, NaN differs from everything
        return lambda builder, a, b: builder.fcmp_unordered(symbol, a, b)
    return lambda builder, a, b: builder.fcmp_ordered(symbol, a, b)


for _of, _in_place, _name in (
    (operator.add, operator.iadd, "fadd"),
    (operator.sub, operator.isub, "fsub"),
    (operator.mul, operator.imul, "fmul"),
    (operator.truediv, operator.itruediv, "fdiv"),
):
    for _each in (_of, _in_place):
        _operator(_each, kind=FLOATS, gives=FLOATS, emit=_instruction(_name, flags=_FLAGS))
_operator(operator.neg, kind=FLOATS, gives=FLOATS, emit=_instruction("fneg"), arity=1)
for _of, _symbol in (
    (operator.lt, "<"),
    (operator.le, "<="),
    (operator.gt, ">"),
    (operator.ge, ">="),
    (operator.eq, "=="),
    (operator.ne, "!="),
):
    _operator(_of, kind=FLOATS, gives=MASK, emit=_comparison(_symbol))
for _of, _name in (
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.ne, "xor"),
):
    _operator(_of, kind=MASK, gives=MASK, emit=_instruction(_name))
_operator(operator.invert, kind=MASK, gives=MASK, emit=_instruction("not_"), arity=1)
for _of, _name in (
    (operator.add, "add"),
    (operator.iadd, "add"),
    (operator.sub, "sub"),
    (operator.mul, "mul"),
    (operator.and_, "and_"),
    (operator.or_, "or_"),
    (operator.xor, "xor"),
    (operator.lshift, "shl"),
    (operator.rshift, "lshr"),
):
    _operator(_of, kind=WORDS, gives=WORDS, emit=_instruction(_name))
_operator(
    operator.ne,
    kind=WORDS,
    gives=MASK,
    emit=lambda builder, a, b: builder.icmp_unsigned("!=", a, b),
)


def _field(row: Any, name: str) -> Any:  # noqa: ANN401
    return FLOATS if row.record.typeof(name).dtype == types.float64 else WORDS


def _address(builder: Any, row: Any, start: Any, name: str) -> Any:  # noqa: ANN401
    offset = ir.Constant(ir.IntType(64), row.record.offset(name))
    vector = _VECTORS[_field(row, name)]
    return builder.bitcast(cgutils.pointer_add(builder, start, offset), vector.as_pointer())


@infer_getattr
class _RowAttributes(AttributeTemplate):
    key = RowType

    def generic_resolve(self, row: Any, name: str) -> Any:  # noqa: ANN401
        return _field(row, name) if name in row.record.fields else None


@lower_getattr_generic(RowType)
def _read_field(context: Any, builder: Any, row: Any, start: Any, name: str) -> Any:  # noqa: ANN401
    return builder.load(_address(builder, row, start, name), align=_ALIGN)


@lower_setattr_generic(RowType)
def _write_field(context: Any, builder: Any, sig: Any, args: Any, name: str) -> None:  # noqa: ANN401
    row = sig.args[0]
    value = context.cast(builder, args[1], sig.args[1], _field(row, name))
    builder.store(value, _address(builder, row, args[0], name), align=_ALIGN)


class _AnyPlace(AbstractTemplate):
    """Rows by place: ``row[k]`` is the field number k."""

    def generic(self, args: Any, kws: Any) -> Any:  # noqa: ANN401
        if isinstance(args[0], RowType) and isinstance(args[1], types.Integer):
            kinds = {_field(args[0], name) for name in args[0].record.fields}
            (kind,) = kinds  # places tell apart fields of one kind only
            if self.key is operator.getitem:
                return signature(kind, args[0], types.intp)
            return signature(types.none, args[0], types.intp, kind)
        return None


@infer_global(operator.getitem)
class _ReadPlace(_AnyPlace):
    key = operator.getitem


@infer_global(operator.setitem)
class _WritePlace(_AnyPlace):
    key = operator.setitem


def _place(builder: Any, row: Any, start: Any, place: Any) -> Any:  # noqa: ANN401
    width = ir.Constant(ir.IntType(64), 8 * LANES)
    vector = _VECTORS[_field(row, next(iter(row.record.fields)))]
    offset = builder.mul(place, width)
    return builder.bitcast(cgutils.pointer_add(builder, start, offset), vector.as_pointer())


@lower_builtin(operator.getitem, RowType, types.Integer)
def _read_place(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
    return builder.load(_place(builder, sig.args[0], args[0], args[1]), align=_ALIGN)


@lower_builtin(operator.setitem, RowType, types.Integer, types.Any)
def _write_place(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
    builder.store(args[2], _place(builder, sig.args[0], args[0], args[1]), align=_ALIGN)
    return context.get_dummy_value()


@intrinsic
def row_of(typingctx: Any, record: Any) -> Any:  # noqa: ANN401
    """Return the row over a record of a structured array."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        return builder.bitcast(args[0], ir.IntType(8).as_pointer())

    return RowType(record)(record), emit


@intrinsic
def select_words(typingctx: Any, mask: Any, one: Any, other: Any) -> Any:  # noqa: ANN401
    """Return :func:`select` of words, of which both may be single numbers."""

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        return builder.select(*args)

    return WORDS(MASK, WORDS, WORDS), emit


@intrinsic
def select(typingctx: Any, mask: Any, one: Any, other: Any) -> Any:  # noqa: ANN401
    """Return ``one`` in lanes where ``mask`` holds and ``other`` elsewhere."""
    kinds = [kind for kind in (one, other) if kind in _VECTORS]
    kind = kinds[0] if kinds else FLOATS

    def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
        return builder.select(*args)

    return kind(MASK, kind, kind), emit


def _of_vector(name: str, gives: Any, takes: Any, *, overloaded: Any) -> Emit:  # noqa: ANN401
    """Return an intrinsic that calls LLVM's ``name``."""

    @intrinsic
    def call(typingctx: Any, lanes: Any) -> Any:  # noqa: ANN401
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
            result = _VECTORS[gives] if gives in _VECTORS else ir.IntType(1)
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(result, [_VECTORS[takes]]), f"{name}.{overloaded}"
            )
            return builder.call(function, args)

        return gives(takes), emit

    result: Emit = call
    return result


square_root = _of_vector("llvm.sqrt", FLOATS, FLOATS, overloaded=f"v{LANES}f64")
nearest = _of_vector("llvm.rint", FLOATS, FLOATS, overloaded=f"v{LANES}f64")
below = _of_vector("llvm.floor", FLOATS, FLOATS, overloaded=f"v{LANES}f64")
size = _of_vector("llvm.fabs", FLOATS, FLOATS, overloaded=f"v{LANES}f64")
any_of = _of_vector("llvm.vector.reduce.or", types.boolean, MASK, overloaded=f"v{LANES}i1")


def _conversion(instruction: str, gives: Any, takes: Any) -> Emit:  # noqa: ANN401
    @intrinsic
    def convert(typingctx: Any, lanes: Any) -> Any:  # noqa: ANN401
        def emit(context: Any, builder: Any, sig: Any, args: Any) -> Any:  # noqa: ANN401
            return getattr(builder, instruction)(args[0], _VECTORS[gives])

        return gives(takes), emit

    result: Emit = convert
    return result


bits_of = _conversion("bitcast", WORDS, FLOATS)
float_of_bits = _conversion("bitcast", FLOATS, WORDS)
count_of = _conversion("uitofp", FLOATS, WORDS)
word_of = _conversion("fptosi", WORDS, FLOATS)
