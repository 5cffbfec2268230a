"""Floor 4: templates in which everything that is printed is quoted, so that no template can forget it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from jinja2 import Environment

PACKAGE: Final = "certgen.consumers"


class UnquotableError(ValueError):
    """A text that the target's language has no way to say; the argument is one sentence."""


class TemplateError(ValueError):
    """A user's template that cannot be rendered; the argument is one sentence, `help` what to do."""

    def __init__(self, message: str, help: str | None = None) -> None:  # noqa: A002 - the field's name in a diagnostic
        super().__init__(message)
        self.help = help


class Verbatim(str):
    """A text that is printed as it stands: certgen's own words."""

    __slots__ = ()


class Templates:
    """The templates of one consumer, with its quoting function."""

    def __init__(self, consumer: str, quote: Callable[[str], str]) -> None:
        """Take the consumer's name, which is its folder's, and the one function that quotes for its language."""
        self._consumer = consumer
        self._quote = quote
        self._environment: Environment | None = None

    def render(self, template: str, **values: object) -> bytes:
        """Render a template of the consumer's folder.

        Args:
            template: the file's name.
            values: what the template may print; a text is quoted unless it is `Verbatim`.

        Raises:
            UnquotableError: the target cannot express a text.
        """
        return self._opened().get_template(template).render(**values).encode()

    def _opened(self) -> Environment:
        if self._environment is None:
            from jinja2 import Environment, PackageLoader, StrictUndefined

            # What is rendered is configuration, not HTML: `finalize` quotes, for the language at hand.
            self._environment = Environment(
                loader=PackageLoader(PACKAGE, self._consumer),
                undefined=StrictUndefined,
                autoescape=False,  # noqa: S701 - see above
                trim_blocks=True,
                lstrip_blocks=True,
                keep_trailing_newline=True,
                finalize=self._finalize,
            )
        return self._environment

    def _finalize(self, value: object) -> str:
        match value:
            case Verbatim():
                return value
            case str():
                return self._quote(value)
            case bool():
                raise TypeError("a template prints no truth value")
            case int():
                return str(value)
            case _:
                raise TypeError(f"a template prints texts and numbers, not {type(value).__name__}")


def render_own(content: bytes, variables: Mapping[str, object]) -> bytes:
    """Render a user's template in jinja2's sandbox, where it can neither change nor reach anything but its variables.

    Args:
        content: the template, UTF-8.
        variables: what it may use.

    Raises:
        TemplateError: it is no template, it asks for what there is not, or it prints what is no text.
    """
    from jinja2 import TemplateError as JinjaError
    from jinja2 import TemplateSyntaxError, UndefinedError
    from jinja2.exceptions import SecurityError

    try:
        return _sandbox().from_string(content.decode("utf-8")).render(**variables).encode()
    except UnicodeDecodeError:
        raise TemplateError("the template is not UTF-8") from None
    except TemplateSyntaxError as reason:
        raise TemplateError(f"line {reason.lineno} is not jinja2", "see its manual of the template language") from None
    except UndefinedError as reason:
        help_ = f"there are {', '.join(sorted(variables))}"
        raise TemplateError(f"it asks for what there is not: {reason.message}", help_) from None
    except SecurityError:
        raise TemplateError("it asks for what the sandbox forbids") from None
    except TemplateError:
        raise
    except (*_FAILURES, JinjaError) as reason:
        raise TemplateError(f"it cannot be rendered ({type(reason).__name__})") from None


_FAILURES: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    RecursionError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a template can make of Python: it is a program, compiled and run."""


LARGEST: Final = 1024 * 1024
"""Characters of the longest text, and items of the longest list, that a user's template may make by multiplying."""


def _sandbox() -> Environment:
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment, safe_range

    class Sandbox(ImmutableSandboxedEnvironment):
        """jinja2's sandbox, in which no operator takes all memory, or all time."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: object, operator: str, left: object, right: object) -> object:
            """Multiply within bounds."""
            if not _is_bounded(operator, left, right):
                raise SecurityError(operator)
            return super().call_binop(context, operator, left, right)  # type: ignore[arg-type]  # as it came

    class Range:
        """The function `range`, which in every process is written alike."""

        def __call__(self, *bounds: int) -> range:
            return safe_range(*bounds)

        def __repr__(self) -> str:
            return "range"

    environment = Sandbox(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=_printed,
    )
    # What is rendered twice must be the same twice.
    for name in ("lipsum", "joiner", "cycler"):
        del environment.globals[name]
    del environment.filters["random"]
    environment.globals["range"] = Range()
    return environment


def _is_bounded(operator: str, left: object, right: object) -> bool:
    match operator, left, right:
        case "*", int() | float(), int() | float():
            return True
        case ("*", str() | list() | tuple() as many, int() as times) | (
            "*",
            int() as times,
            str() | list() | tuple() as many,
        ):
            return len(many) * times <= LARGEST
        case "**", int() | float(), int() | float():
            return abs(left) <= LARGEST and abs(right) <= 64
        case _:
            return False


def _printed(value: object) -> object:
    """Let through texts, numbers, and lists and mappings of them.

    Raises:
        TemplateError: what is printed is something else, of which the text would differ from run to run.
    """
    from jinja2 import Undefined

    match value:
        case Undefined():
            # To ask it for its text is what makes it complain.
            return str(value)
        case None | str() | int() | float():
            return value
        case list() | tuple():
            return type(value)([_printed(item) for item in value])
        case dict():
            return {_printed(key): _printed(item) for key, item in value.items()}
        case _:
            help_ = "`join` it, or make it a `list`"
            raise TemplateError(f"it prints what is no text: {type(value).__name__}", help_)
