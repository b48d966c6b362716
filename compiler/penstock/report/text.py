"""Numbers as people read them."""

from __future__ import annotations

NOTHING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"


def number(value: float | None, digits: int = 0) -> str:
    """12345.6 -> ``12,346``; a dash for None."""
    return NOTHING if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def percent(share: float | None, digits: int = 1) -> str:
    """0.9961 -> ``99.6 %``; never rounded up to 100 or down to 0."""
    if share is None:
        return NOTHING
    text = f"{100 * share:.{digits}f}"
    if share < 1 <= float(text) / 100:
        text = f"{100 - 10**-digits:.{digits}f}"
    if share > 0 and float(text) == 0:
        return f"< {10**-digits:g} %"
    return f"{text} %"


def ratio(part: float, whole: float) -> float | None:
    """part / whole; None where there is nothing to compare with."""
    return part / whole if whole else None


def significant(value: float | None, digits: int = 4) -> str:
    """To ``digits`` significant digits, without an exponent where that is short."""
    if value is None:
        return NOTHING
    text = f"{value:.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    if exponent:
        text = f"{mantissa}e{int(exponent)}"
    return text.replace("-", MINUS)


def interval(lo: float, hi: float) -> str:
    """Whole numbers ``-3 … 12,345``; others to four digits."""
    if isinstance(lo, int) and isinstance(hi, int):
        return f"{number(lo)} … {number(hi)}"
    return f"{significant(lo)} … {significant(hi)}"


def size(count: int) -> str:
    """Bytes in decimal units: ``749.7 kB``."""
    value, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    if unit == "bytes":
        return plural(count, "byte")
    return f"{value:,.{2 if value < 10 else 1}f} {unit}"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """``1 lane``, ``4 lanes``."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def shape(lengths: list[int]) -> str:
    """[1024, 153] -> ``1,024 x 153``, with the sign of multiplication."""
    return f" {TIMES} ".join(f"{length:,}" for length in lengths)
