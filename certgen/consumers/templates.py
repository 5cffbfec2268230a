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


def _sandbox() -> Environment:
    from jinja2 import StrictUndefined, Undefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Sandbox(ImmutableSandboxedEnvironment):
        """jinja2's sandbox, without the operators by which a line takes all memory, or all time."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: object, operator: str, left: object, right: object) -> object:  # noqa: ARG002 - as the library has it
            """Multiply numbers, and nothing else."""
            if operator == "*" and all(isinstance(side, int | float) for side in (left, right)):
                return left * right  # type: ignore[operator]  # two numbers
            raise SecurityError(operator)

    def printable(value: object) -> object:
        if value is None or isinstance(value, str | int | float | list | tuple | dict | Undefined):
            return value
        raise TemplateError(f"it prints what is no text: {type(value).__name__}", "`join` it, or make it a `list`")

    environment = Sandbox(
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
        finalize=printable,
    )
    # What is rendered twice must be the same twice.
    for name in ("lipsum", "joiner", "cycler"):
        del environment.globals[name]
    del environment.filters["random"]
    return environment
