"""ASP.NET Core route templates, compiled once: which function answers a path and method.

https://learn.microsoft.com/aspnet/core/fundamentals/routing#route-templates
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from local.host.errors import StartRefused
from local.host.triggers import HttpFunction

ALL_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_NO_PARAMETERS: Mapping[str, str] = {}
_GUID = r"\{?[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\}?"
_CONSTRAINTS = {
    "int": r"[+-]?\d{1,10}",
    "long": r"[+-]?\d{1,19}",
    "decimal": r"[+-]?\d*\.?\d+",
    "double": r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?",
    "float": r"[+-]?\d*\.?\d+(?:[eE][+-]?\d+)?",
    "bool": r"[Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee]",
    "guid": _GUID,
    "alpha": r"[a-zA-Z]*",
    "required": r".+",
}
_LITERAL, _CONSTRAINED, _PARAMETER, _CATCH_ALL = range(4)


@dataclass(frozen=True, slots=True)
class Route:
    """A compiled template of one function; `rank` orders templates, the more specific first."""

    function: HttpFunction
    template: str
    methods: frozenset[str]
    pattern: re.Pattern[str]
    parameters: tuple[str, ...]
    rank: tuple[int, ...]
    segments: int | None


@dataclass(frozen=True, slots=True)
class Match:
    """The function for a request, or, when there is none, the methods its path would take."""

    function: HttpFunction | None
    parameters: Mapping[str, str]
    allowed: frozenset[str] = frozenset()


_NOTHING = Match(None, _NO_PARAMETERS)


class Routes:
    """All HTTP functions of an app, ready to be matched.

    :param prefix: `extensions.http.routePrefix` of host.json
    :raises StartRefused: a template we cannot read, or two functions with the same template and method
    """

    def __init__(self, functions: Iterable[HttpFunction], prefix: str) -> None:
        self._literal: dict[str, list[Route]] = {}
        self._by_length: dict[int, list[Route]] = {}
        self._catch_all: list[Route] = []
        self.all: list[Route] = sorted(
            (route for function in functions for route in _compiled(function, prefix)), key=lambda route: route.rank
        )
        _refuse_doubles(self.all)
        for route in self.all:
            if route.segments is None:
                self._catch_all.append(route)
            elif not route.parameters:
                self._literal.setdefault(route.template.lower(), []).append(route)
            else:
                self._by_length.setdefault(route.segments, []).append(route)

    def match(self, path: str, method: str) -> Match:
        """The function for `method` on `path` (percent-decoded but for `%2F`, with its leading slash)."""
        bare = path.strip("/")
        allowed: frozenset[str] = frozenset()
        for route in self._literal.get(bare.lower(), ()):
            if method in route.methods:
                return Match(route.function, _NO_PARAMETERS)
            allowed |= route.methods
        for route in self._candidates(bare):
            found = route.pattern.fullmatch(bare)
            if found is None:
                continue
            if method in route.methods:
                given = zip(route.parameters, found.groups(), strict=True)
                return Match(route.function, {name: value.replace("%2F", "/") for name, value in given if value})
            allowed |= route.methods
        return Match(None, _NO_PARAMETERS, allowed) if allowed else _NOTHING

    def _candidates(self, bare: str) -> Iterator[Route]:
        yield from self._by_length.get(bare.count("/") + 1 if bare else 0, ())
        yield from self._catch_all


def decoded_path(raw_path: bytes) -> str:
    """The path as ASP.NET Core routes it: percent-decoded, except that an encoded slash stays encoded."""
    text = raw_path.decode("latin-1")
    if "%" not in text:
        return text
    return unquote(re.sub("%2[fF]", "%252F", text))


def _refuse_doubles(routes: Sequence[Route]) -> None:
    seen: dict[tuple[str, str], str] = {}
    for route in routes:
        for method in route.methods:
            key = (re.sub(r"\{\*{0,2}[^}:]*", "{", route.template.lower()), method)
            other = seen.setdefault(key, route.function.name)
            if other != route.function.name:
                raise StartRefused(
                    f"Functions {other} and {route.function.name} both answer {method} /{route.template}"
                )


def _compiled(function: HttpFunction, prefix: str) -> Iterator[Route]:
    template = "/".join(part for part in (prefix.strip("/"), function.route.strip("/")) if part)
    try:
        segments = _split(template)
        yield _route(function, template, segments)
        if segments and re.fullmatch(r"\{[^{}]*[?]\}|\{[^{}*]*=[^{}]*\}", segments[-1]):
            yield _route(function, "/".join(segments[:-1]), segments[:-1])
    except ValueError as error:
        raise StartRefused(f"Function {function.name}: the route `{function.route}` {error}") from None


def _route(function: HttpFunction, template: str, segments: Sequence[str]) -> Route:
    names: list[str] = []
    patterns: list[str] = []
    rank: list[int] = []
    for segment in segments:
        pattern, kind = _segment(segment, names)
        patterns.append(pattern)
        rank.append(kind)
    catch_all = _CATCH_ALL in rank
    if catch_all and rank.index(_CATCH_ALL) != len(rank) - 1:
        raise ValueError("has a catch-all parameter that is not the last segment")
    expression = "/".join(patterns)
    if catch_all:
        head = "/".join(patterns[:-1])
        expression = f"{head}(?:/{patterns[-1]})?" if head else patterns[-1]
    if len(set(names)) != len(names):
        raise ValueError("uses a parameter name twice")
    return Route(
        function=function,
        template=template,
        methods=function.methods or ALL_METHODS,
        pattern=re.compile(expression),
        parameters=tuple(names),
        rank=tuple(rank),
        segments=None if catch_all else len(segments),
    )


def _split(template: str) -> list[str]:
    """Segments; a slash inside braces (a regex constraint) does not divide."""
    segments, depth, current = [], 0, ""
    for character in template:
        depth += (character == "{") - (character == "}")
        if depth < 0:
            raise ValueError("has unbalanced braces")
        if character == "/" and depth == 0:
            segments.append(current)
            current = ""
        else:
            current += character
    if depth:
        raise ValueError("has unbalanced braces")
    return [segment for segment in [*segments, current] if segment]


def _segment(segment: str, names: list[str]) -> tuple[str, int]:
    """A segment's pattern and how specific it is; appends the parameters it captures to `names`."""
    pattern, kind, position = "", _LITERAL, 0
    for found in re.finditer(r"\{(\*{0,2})([^{}:?=*]+)((?::(?:[^{}(]|\([^)]*\))+)*)(\?|=[^{}]*)?\}", segment):
        stars, name, constraints, _default = found.groups()
        pattern += f"(?i:{re.escape(segment[position : found.start()])})" if found.start() > position else ""
        pattern += _parameter(stars, constraints or "")
        names.append(name)
        kind = (
            _CATCH_ALL if stars else max(kind, _CONSTRAINED if constraints or found.group() != segment else _PARAMETER)
        )
        position = found.end()
    rest = segment[position:]
    if "{" in rest or "}" in rest:
        raise ValueError(f"has a segment we cannot read: `{segment}`")
    return pattern + (f"(?i:{re.escape(rest)})" if rest else ""), kind


def _parameter(stars: str, constraints: str) -> str:
    lookaheads = ""
    for name, argument in re.findall(r":([a-zA-Z]+)(?:\(([^)]*)\))?", constraints):
        lookaheads += f"(?=(?:{_constraint(name.lower(), argument)})(?:/|$))"
    return lookaheads + ("(.*)" if stars else "([^/]+)")


def _constraint(name: str, argument: str) -> str:
    if name in _CONSTRAINTS:
        return _CONSTRAINTS[name]
    if name == "regex":
        return argument.removeprefix("^").removesuffix("$")
    low, _, high = (part.strip() for part in argument.partition(","))
    if name == "length":
        return f"[^/]{{{int(low)},{int(high or low)}}}"
    if name == "minlength":
        return f"[^/]{{{int(low)},}}"
    if name == "maxlength":
        return f"[^/]{{0,{int(low)}}}"
    raise ValueError(f"has the constraint `{name}`, which the local host does not know")
