"""Numbers (chapters 3, 4 and 6): the canonical rule, number text both ways, arithmetic and rounding.

An integer in [-2^63, 2^63) is a Python `int`, every other number a `float` that is no canonical integer.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

Number = int | float

LEAST = -(2**63)
BEYOND = 2**63
EXACT = 2**53

NUMBER_TEXT = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")
"""What NUM accepts from a string once white space is stripped (chapter 5)."""

INTEGER_TEXT = re.compile(r"([+-]?)0*([0-9]+)")
INTEGER_DIGITS = 19
"""Digits of the largest integer; longer runs need not be computed to know that they do not fit."""


def fits(integer: int) -> bool:
    """Whether an integer can be held exactly."""
    return LEAST <= integer < BEYOND


def canonical(x: float) -> Number:
    """The canonical rule: a finite integral float of at most 2^53 in size is the integer."""
    return int(x) if x.is_integer() and abs(x) <= EXACT else x


def exact_or_float(integer: int) -> Number:
    """An integer result: itself if it fits, else the nearest float."""
    if fits(integer):
        return integer
    try:
        return float(integer)
    except OverflowError:
        return math.copysign(math.inf, integer)


def read_number(text: str) -> Number:
    """The value of a number text that is known to be well formed; overflow gives an infinity."""
    digits = INTEGER_TEXT.fullmatch(text)
    if digits and len(digits[2]) <= INTEGER_DIGITS:
        integer = int(digits[1] + digits[2])
        if fits(integer):
            return integer
    return canonical(float(text))


def number_text(x: Number) -> str:
    """NUMTEXT (chapter 4): plain positional notation, never an exponent or a trailing `.0`."""
    if isinstance(x, int):
        return str(x)
    if math.isnan(x):
        return "NaN"
    if math.isinf(x):
        return "inf" if x > 0 else "-inf"
    if x.is_integer() and abs(x) < BEYOND:
        return str(int(x))
    return format(Decimal(repr(x)), "f")


def is_whole(x: Number) -> bool:
    """Whether a number is finite and integral."""
    return isinstance(x, int) or x.is_integer()


# --- arithmetic (chapter 6) ----------------------------------------------------------------------


def add(a: Number, b: Number) -> Number:
    """`a + b`."""
    if isinstance(a, int) and isinstance(b, int) and fits(a + b):
        return a + b
    return canonical(float(a) + float(b))


def subtract(a: Number, b: Number) -> Number:
    """`a - b`."""
    if isinstance(a, int) and isinstance(b, int) and fits(a - b):
        return a - b
    return canonical(float(a) - float(b))


def multiply(a: Number, b: Number) -> Number:
    """`a * b`."""
    if isinstance(a, int) and isinstance(b, int) and fits(a * b):
        return a * b
    return canonical(float(a) * float(b))


def ieee_divide(a: float, b: float) -> float:
    """IEEE 754 division, which Python refuses for a zero divisor. No operand is a negative zero."""
    if b != 0:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a)


def divide(a: Number, b: Number) -> Number:
    """`a / b`: exact where the quotient of two integers is one that fits."""
    if isinstance(a, int) and isinstance(b, int) and b != 0 and a % b == 0 and fits(a // b):
        return a // b
    return canonical(ieee_divide(float(a), float(b)))


def remainder(a: Number, b: Number) -> Number:
    """`a % b`, with the sign of `a`."""
    if b == 0:
        return math.nan
    if isinstance(a, int) and isinstance(b, int):
        size = abs(a) % abs(b)
        return -size if a < 0 else size
    x, y = float(a), float(b)
    if math.isinf(x) or math.isnan(x) or math.isnan(y):
        return math.nan
    return canonical(math.fmod(x, y))


def negate(a: Number) -> Number:
    """`-a`."""
    return exact_or_float(-a) if isinstance(a, int) else canonical(-a)


ARITHMETIC = {"+": add, "-": subtract, "*": multiply, "/": divide, "%": remainder}
"""The operators on two numbers."""


# --- rounding ------------------------------------------------------------------------------------


def whole(x: Number, rounded: int) -> Number:
    """`rounded`, a whole number next to `x`, as an integer when it fits, else as the float it is."""
    return rounded if isinstance(x, int) or fits(rounded) else canonical(float(rounded))


def truncate(x: Number) -> Number:
    """Toward zero; an integer where it fits, a float outside the 64-bit range, NaN and infinities stay."""
    return whole(x, math.trunc(x)) if math.isfinite(x) else x


def floor(x: Number) -> Number:
    """Down; NaN and infinities stay."""
    return whole(x, math.floor(x)) if math.isfinite(x) else x


def ceiling(x: Number) -> Number:
    """Up; NaN and infinities stay."""
    return whole(x, math.ceil(x)) if math.isfinite(x) else x


def rounded_digits(x: Number, digits: int) -> tuple[str, str]:
    """The digits NUMTEXT shows for |x|, rounded half away from zero: whole part and fraction.

    `x` is finite. The fraction has `digits` digits or fewer, where NUMTEXT shows fewer.
    """
    integral, _, fraction = number_text(abs(x)).partition(".")
    if digits >= len(fraction):
        return integral, fraction
    every = integral + fraction
    cut = len(integral) + digits
    if cut < 0:
        return "0", ""
    kept = int(every[:cut] or "0") + (1 if every[cut] >= "5" else 0)
    if digits <= 0:
        return (str(kept) + "0" * -digits if kept else "0"), ""
    text = str(kept).rjust(digits + 1, "0")
    return text[:-digits], text[-digits:]


def round_number(x: Number, digits: int) -> Number:
    """`round` (chapter 10.2): decimal rounding of the digits shown, read back as number text."""
    if not math.isfinite(x):
        return x
    integral, fraction = rounded_digits(x, digits)
    sign = "-" if x < 0 else ""
    return read_number(f"{sign}{integral}.{fraction}" if fraction else sign + integral)


def fixed_text(x: Number, digits: int) -> str:
    """`to_fixed` (chapter 10.2): exactly `digits` decimals, never a sign on zero."""
    if not math.isfinite(x):
        return number_text(x)
    integral, fraction = rounded_digits(x, digits)
    fraction = fraction.ljust(digits, "0")
    negative = x < 0 and (integral + fraction).strip("0") != ""
    return ("-" if negative else "") + integral + ("." + fraction if digits else "")
