"""Reading the study language: text in, a checked expression out.

    condition  := conjunct ("or" conjunct)*
    conjunct   := negation ("and" negation)*
    negation   := "not" negation | predicate
    predicate  := sum [ ("=" | "!=" | "<" | "<=" | ">" | ">=") sum
                      | ["not"] "in" "(" value ("," value)* ")"
                      | ["not"] "between" sum "and" sum
                      | "is" ["not"] ("known" | "unknown") ]
    sum        := product (("+" | "-") product)*
    product    := atom ("//" number)*
    atom       := variable | number | "-" number | "(" condition ")" | "true" | "false"
                | ("min" | "max") "(" sum "," sum ")"
                | "choose" ("when" condition "then" sum)+ ["else" sum] "end"

After a variable with codes, a value is a code: bare (``tx_hormone = yes``, ``stage in (1, 2)``)
or quoted (``site = 'C50'``). ``==`` and ``<>`` are read as ``=`` and ``!=``; words of the
language may be written in capitals, names and codes may not. Names, codes and ranges are checked
against ``records.variables``. Large classifications (site, ICD-10, morphology, region) are
ordered as text, so ``site between 'C00' and 'C97'`` works; short code lists have no order.

A text is refused unread above 4 KiB, and an expression nested more than 32 deep is refused.
Every error is a StudyError that shows the place.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final, Literal

from upcare_mpc.errors import StudyError
from upcare_mpc.records.variables import VARIABLES, Code, Number, Pattern
from upcare_mpc.study.expression import (
    And,
    Arithmetic,
    Between,
    Choose,
    Comparison,
    Expression,
    Field,
    InList,
    Integer,
    IsKnown,
    Not,
    Or,
    Text,
    Truth,
    Type,
    canonical,
    depth,
    type_of,
)
from upcare_mpc.study.tokens import Token, error_at, tokenize

__all__ = ["MAX_DEPTH", "MAX_LENGTH", "parse"]

MAX_LENGTH: Final = 4096  # characters, as written and in canonical spelling
MAX_DEPTH: Final = 32

_COMPARISONS: dict[str, Literal["=", "!=", "<", "<=", ">", ">="]] = {
    "=": "=",
    "==": "=",
    "!=": "!=",
    "<>": "!=",
    "<": "<",
    "<=": "<=",
    ">": ">",
    ">=": ">=",
}
_MEANING: dict[Type, str] = {
    "truth": "a condition, such as age >= 18",
    "integer": "a whole number",
    "text": "a code",
}


def parse(text: str, *, place: str, want: Type = "truth") -> Expression:
    """Read one expression.

    Args:
        text: What the researcher wrote.
        place: Where it stands, for error texts, for example ``cohort.where``.
        want: The type that the place needs.

    Raises:
        StudyError: The text is not an expression of that type; the error shows the column.
    """
    if len(text) > MAX_LENGTH:
        raise StudyError(f"{place}: wanted at most {MAX_LENGTH} characters, got {len(text)}")
    return _Parser(text, place).whole(want)


class _Parser:
    """A recursive-descent parser: one method a line of the grammar."""

    def __init__(self, text: str, place: str) -> None:
        self._text = text
        self._place = place
        self._tokens = tokenize(text, place)
        self._next = 0
        self._nesting = 0

    def whole(self, want: Type) -> Expression:
        start = self._token
        expression = self._condition()
        if self._token.kind != "end":
            raise self._error(self._token, f"wanted 'and', 'or' or the end, got {self._token}")
        self._expect_type(expression, want, start)
        if depth(expression) > MAX_DEPTH:
            raise self._error(start, f"wanted an expression nested at most {MAX_DEPTH} deep")
        if len(canonical(expression)) > MAX_LENGTH:
            raise self._error(
                start, f"wanted at most {MAX_LENGTH} characters in canonical spelling"
            )
        return expression

    # --- the grammar ----------------------------------------------------------------------

    def _condition(self) -> Expression:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._error(self._token, f"wanted parentheses nested at most {MAX_DEPTH} deep")
        start = self._token
        first = self._conjunct()
        terms = [first]
        while self._take("or"):
            self._expect_type(terms[-1], "truth", start)
            start = self._token
            terms.append(self._conjunct())
        self._nesting -= 1
        if len(terms) == 1:
            return first
        self._expect_type(terms[-1], "truth", start)
        return Or(tuple(p for t in terms for p in (t.terms if isinstance(t, Or) else (t,))))

    def _conjunct(self) -> Expression:
        start = self._token
        first = self._negation()
        terms = [first]
        while self._take("and"):
            self._expect_type(terms[-1], "truth", start)
            start = self._token
            terms.append(self._negation())
        if len(terms) == 1:
            return first
        self._expect_type(terms[-1], "truth", start)
        return And(tuple(p for t in terms for p in (t.terms if isinstance(t, And) else (t,))))

    def _negation(self) -> Expression:
        negations = 0
        while self._take("not"):
            negations += 1
        start = self._token
        expression = self._predicate()
        if negations:
            self._expect_type(expression, "truth", start)
        if negations > MAX_DEPTH:
            raise self._error(start, f"wanted an expression nested at most {MAX_DEPTH} deep")
        for _ in range(negations):
            expression = Not(expression)
        return expression

    def _predicate(self) -> Expression:
        start = self._token
        left = self._sum()
        operator = self._token
        if operator.key in _COMPARISONS:
            self._advance()
            return self._comparison(left, operator, start)
        if self._take("is"):
            return self._is_known(left, start)
        negated = operator.key == "not" and self._peek().key in {"in", "between"}
        if negated:
            self._advance()
        if self._take("in"):
            found: Expression = self._in_list(left, start)
        elif self._take("between"):
            found = self._between(left, start)
        else:
            return left
        return Not(found) if negated else found

    def _comparison(self, left: Expression, operator: Token, start: Token) -> Expression:
        spelled = _COMPARISONS[operator.text]
        if spelled not in {"=", "!="}:
            self._expect_order(left, operator)
        right = self._value_beside(left, start)
        if isinstance(left, Integer) and isinstance(right, Field):
            self._check_range(right, left, start)
        return Comparison(spelled, left, right)

    def _is_known(self, left: Expression, start: Token) -> Expression:
        if type_of(left) == "truth":
            raise self._error(start, "wanted a variable or a number before 'is'")
        known = not self._take("not")
        token = self._advance()
        if token.key not in {"known", "unknown"}:
            raise self._error(token, f"wanted 'known' or 'unknown' after 'is', got {token}")
        return IsKnown(left, known == (token.key == "known"))

    def _in_list(self, left: Expression, start: Token) -> InList:
        self._expect("(")
        values = [self._literal_beside(left, start)]
        while self._take(","):
            values.append(self._literal_beside(left, start))
        self._expect(")")
        return InList(left, tuple(values))

    def _between(self, left: Expression, start: Token) -> Between:
        self._expect_order(left, self._token)
        at = self._token
        low = self._value_beside(left, start)
        self._expect("and")
        high = self._value_beside(left, start)
        match low, high:
            case (Integer(a), Integer(b)) if a > b:
                raise self._error(at, f"wanted the lower bound first, got {a} and {b}")
            case (Text(c), Text(d)) if c > d:
                raise self._error(at, f"wanted the lower bound first, got {c} and {d}")
        return Between(left, low, high)

    def _sum(self) -> Expression:
        start = self._token
        left = self._product()
        while self._token.key in {"+", "-"}:
            operator = self._advance()
            self._expect_type(left, "integer", start)
            start = self._token
            right = self._product()
            self._expect_type(right, "integer", start)
            left = Arithmetic("+" if operator.text == "+" else "-", left, right)
        return left

    def _product(self) -> Expression:
        start = self._token
        left = self._atom()
        while self._take("//"):
            self._expect_type(left, "integer", start)
            token = self._advance()
            if token.kind != "number" or int(token.text[:10]) == 0:
                raise self._error(token, f"wanted a positive number after '//', got {token}")
            left = Arithmetic("//", left, self._number(token))
        return left

    def _atom(self) -> Expression:
        token = self._advance()
        match token.key:
            case "(":
                inner = self._condition()
                self._expect(")")
                return inner
            case "-":
                number = self._advance()
                if number.kind != "number":
                    raise self._error(number, f"wanted a number after '-', got {number}")
                return Integer(-self._number(number).value)
            case "true" | "false":
                return Truth(token.key == "true")
            case "min" | "max":
                return self._smaller_or_larger(token.key)
            case "choose":
                return self._choose()
        if token.kind == "number":
            return self._number(token)
        if token.kind == "word" and token.text in VARIABLES:
            return Field(token.text)
        if token.kind == "word" and not token.key:
            raise self._error(token, f"unknown variable {token}{_suggest(token.text, VARIABLES)}")
        raise self._error(token, f"wanted a variable, a number or '(', got {token}")

    def _smaller_or_larger(self, name: Literal["min", "max"]) -> Expression:
        self._expect("(")
        left = self._integer()
        self._expect(",")
        right = self._integer()
        self._expect(")")
        return Arithmetic(name, left, right)

    def _choose(self) -> Expression:
        branches: list[tuple[Expression, Expression]] = []
        while self._take("when"):
            start = self._token
            condition = self._condition()
            self._expect_type(condition, "truth", start)
            self._expect("then")
            branches.append((condition, self._integer()))
        if not branches:
            raise self._error(self._token, f"wanted 'when' after 'choose', got {self._token}")
        otherwise = self._integer() if self._take("else") else None
        self._expect("end")
        return Choose(tuple(branches), otherwise)

    def _integer(self) -> Expression:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._error(self._token, f"wanted an expression nested at most {MAX_DEPTH} deep")
        start = self._token
        expression = self._sum()
        self._expect_type(expression, "integer", start)
        self._nesting -= 1
        return expression

    # --- values and their checks ----------------------------------------------------------

    def _value_beside(self, left: Expression, start: Token) -> Expression:
        """Read what ``left`` is compared with: a code after a coded variable, else a number."""
        if type_of(left) == "text":
            return self._literal_beside(left, start)
        if type_of(left) != "integer":
            raise self._error(start, "wanted a variable or a number on the left of a comparison")
        at = self._token
        right = self._sum()
        self._expect_type(right, "integer", at)
        if isinstance(left, Field) and isinstance(right, Integer):
            self._check_range(left, right, at)
        return right

    def _literal_beside(self, left: Expression, start: Token) -> Integer | Text:
        if isinstance(left, Field) and type_of(left) == "text":
            return self._code(left)
        self._expect_type(left, "integer", start)
        at = self._token
        negative = self._take("-")
        token = self._advance()
        if token.kind != "number":
            raise self._error(token, f"wanted a number, got {token}")
        value = Integer(-self._number(token).value) if negative else self._number(token)
        if isinstance(left, Field):
            self._check_range(left, value, at)
        return value

    def _code(self, field: Field) -> Text:
        variable = VARIABLES[field.name].type
        assert isinstance(variable, Code | Pattern)
        token = self._advance()
        if token.kind == "string":
            value = (
                token.text[1:-1].replace("''", "'") if token.text[0] == "'" else token.text[1:-1]
            )
        elif token.kind in {"word", "number"}:
            value = token.text
        else:
            raise self._error(token, f"wanted {variable.wanted()} for {field.name}, got {token}")
        if not variable.accepts(value):
            hint = _suggest(value, variable.values) if isinstance(variable, Code) else ""
            if isinstance(variable, Pattern) and variable.accepts(value.upper()):
                hint = f"; did you mean {value.upper()}?"
            wanted = variable.wanted()
            raise self._error(token, f"wanted {wanted} for {field.name}, got {value!r}{hint}")
        return Text(value)

    def _number(self, token: Token) -> Integer:
        if len(token.text) > 9:
            raise self._error(token, "wanted a number of at most 9 digits")
        return Integer(int(token.text))

    def _check_range(self, field: Field, value: Integer, at: Token) -> None:
        variable = VARIABLES[field.name].type
        if isinstance(variable, Number) and not variable.accepts(value.value):
            raise self._error(at, f"wanted {variable.wanted()} for {field.name}, got {value.value}")

    def _expect_order(self, left: Expression, at: Token) -> None:
        if isinstance(left, Field) and isinstance(VARIABLES[left.name].type, Code):
            raise self._error(
                at, f"{left.name} has codes without an order; write {left.name} in (...)"
            )

    def _expect_type(self, expression: Expression, want: Type, at: Token) -> None:
        got = type_of(expression)
        if got != want:
            raise self._error(at, f"wanted {_MEANING[want]}, got {_MEANING[got].split(',')[0]}")

    # --- tokens and errors ----------------------------------------------------------------

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _peek(self) -> Token:
        return self._tokens[min(self._next + 1, len(self._tokens) - 1)]

    def _advance(self) -> Token:
        token = self._token
        self._next = min(self._next + 1, len(self._tokens) - 1)
        return token

    def _take(self, key: str) -> bool:
        if self._token.key != key:
            return False
        self._advance()
        return True

    def _expect(self, key: str) -> None:
        if not self._take(key):
            raise self._error(self._token, f"wanted {key!r}, got {self._token}")

    def _error(self, at: Token, reason: str) -> StudyError:
        return error_at(self._text, at.start, self._place, reason)


def _suggest(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word.lower(), list(known), n=2)
    return f"; did you mean {' or '.join(near)}?" if near else ""
