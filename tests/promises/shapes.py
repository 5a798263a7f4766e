"""JSON texts that are hard on a reader: wide, deep, of many small parts or one huge one. Each of about n bytes."""

import json
from collections.abc import Callable, Mapping

Shape = Callable[[int], bytes]


def _keys(n: int) -> str:
    return ",".join(f'"k{number}":1' for number in range(n // 10))


def _of(text: Callable[[int], str]) -> Shape:
    return lambda n: text(n).encode()


SHAPES: Mapping[str, Shape] = {
    "wide object": _of(lambda n: f"{{{_keys(n)}}}"),
    "last key twice": _of(lambda n: f'{{{_keys(n)},"k{n // 10 - 1}":2}}'),
    "many numbers": _of(lambda n: f"[{'1,' * (n // 2)}1]"),
    "many empty lists": _of(lambda n: f"[{'[],' * (n // 3)}[]]"),
    "many empty objects": _of(lambda n: f"[{'{},' * (n // 3)}{{}}]"),
    "many unknown fields": _of(lambda n: "[" + ",".join(['{"zzz":1}'] * (n // 10)) + "]"),
    "many parts": _of(lambda n: "[" + ",".join(['{"type":"text","text":"x"}'] * (n // 27)) + "]"),
    "many bad parts": _of(lambda n: "[" + ",".join(['{"type":"text","text":1}'] * (n // 25)) + "]"),
    "long key over many": _of(lambda n: json.dumps({"k" * (n // 2): [[0]] * (n // 10)})),
    "fault below long keys": _of(lambda n: json.dumps({"a" * (n // 2): {"b" * (n // 2): float("nan")}}).replace("NaN", "1e999")),
    "fault at the end": _of(lambda n: "[" + "1," * (n // 2) + '"\\ud800"]'),
    "one string": _of(lambda n: json.dumps("x" * n)),
    "one string of escapes": _of(lambda n: '"' + "\\u0041" * (n // 6) + '"'),
    "one key": _of(lambda n: json.dumps({"k" * n: 1})),
    "deep": _of(lambda n: "[" * n),
    "deep objects": _of(lambda n: '{"a":' * (n // 5)),
    "one number": _of(lambda n: "9" * n),
    "one fraction": _of(lambda n: f"0.{'1' * n}"),
    "blanks": _of(lambda n: " " * n + "1"),
    "one broken string": _of(lambda n: '"' + "x" * n),
    "quotes": _of(lambda n: '"\\"' * (n // 3)),
    "operations": _of(lambda n: "[" + ",".join(['{"op":"add","path":"/0","value":1}'] * (n // 35)) + "]"),
    "operations that copy": _of(
        lambda n: "[" + ",".join(['{"op":"copy","from":"","path":"/a"}'] * (n // 35)) + "]",
    ),
}
