"""Metric math: arithmetic over metrics by their ids, and the functions that alarms commonly use.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from statistics import fmean

from emulator.state.call import AwsError

Points = dict[int, float]  # by the second in which a period begins
Value = float | Points | list[Points]

_OPERATORS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_FUNCTIONS: dict[str, Callable[[list[float]], float]] = {"AVG": fmean, "MAX": max, "MIN": min, "SUM": sum}


def evaluate(expression: str, metrics: Mapping[str, Points]) -> Points:
    """A time series; raises AwsError for what is no expression, or not one of these."""
    try:
        value = _value(ast.parse(expression.replace("^", "**"), mode="eval").body, metrics)
    except (SyntaxError, KeyError, TypeError, ValueError) as error:
        raise AwsError("ValidationError", f"Error in expression '{expression}': {error}") from error
    if isinstance(value, dict):
        return value
    raise AwsError("ValidationError", f"Error in expression '{expression}': it must be a single time series")


def _value(node: ast.expr, metrics: Mapping[str, Points]) -> Value:
    match node:
        case ast.Constant(value=int() | float() as number):
            return float(number)
        case ast.Name(id=name):
            return metrics[name]
        case ast.List(elts=elements):
            return [each for element in elements if isinstance(each := _value(element, metrics), dict)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _combine(operator.mul, -1.0, _value(operand, metrics))
        case ast.BinOp(left=left, op=kind, right=right) if type(kind) in _OPERATORS:
            return _combine(_OPERATORS[type(kind)], _value(left, metrics), _value(right, metrics))
        case ast.Call(func=ast.Name(id="METRICS"), args=[]):
            return list(metrics.values())
        case ast.Call(func=ast.Name(id="FILL"), args=[series, filler]):
            return _fill(_value(series, metrics), _value(filler, metrics), metrics)
        case ast.Call(func=ast.Name(id=name), args=[argument]) if name in _FUNCTIONS:
            return _reduce(_FUNCTIONS[name], _value(argument, metrics))
    raise ValueError(f"the emulator does not know {ast.unparse(node)}")


def _combine(apply: Callable[[float, float], float], left: Value, right: Value) -> Value:
    """Point by point where both have one; a division by zero has no point."""
    if isinstance(left, list) or isinstance(right, list):
        raise ValueError("an array of time series must be reduced first")
    if isinstance(left, float) and isinstance(right, float):
        return apply(left, right)
    seconds = [each.keys() for each in (left, right) if isinstance(each, dict)]
    found: Points = {}
    for second in set.intersection(*map(set, seconds)):
        one = left[second] if isinstance(left, dict) else left
        two = right[second] if isinstance(right, dict) else right
        if not (apply is operator.truediv and two == 0):
            found[second] = apply(one, two)
    return found


def _reduce(function: Callable[[list[float]], float], value: Value) -> Value:
    """Of one series a number, of an array a series."""
    if isinstance(value, float):
        raise ValueError("a function needs a time series")
    if isinstance(value, dict):
        return function(list(value.values())) if value else 0.0
    seconds = {second for series in value for second in series}
    return {second: function([series[second] for series in value if second in series]) for second in seconds}


def _fill(value: Value, filler: Value, metrics: Mapping[str, Points]) -> Value:
    if not isinstance(value, dict) or not isinstance(filler, float):
        raise ValueError("the emulator's FILL takes a time series and a number")
    return dict.fromkeys({second for series in metrics.values() for second in series}, filler) | value
