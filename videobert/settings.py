"""Settings: each defined once, as a typed field with its default, its bounds and a paragraph of plain text.

A stage has up to two classes. `Settings` is what its result depends on: a change makes the result, and all below it, out of
date. `Execution` is how the stage is executed (device, threads, how a site is asked): a change may move the rounding of a
number, never more, and makes nothing out of date. Both stand flat in the stage's one section of the configuration.

From these classes come the validation of the configuration, `videobert STAGE --help`, the JSON schema for editors, the
commented `config.yaml` and the reference in the documentation. Types are strict: `true` is no 1, and "7" no 7.

`Inputs` and `Outputs` are the files that a stage reads and writes: flags of its command like the settings.
"""

import json
import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from videobert.errors import UserError

Count = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]
Seed = Annotated[int, Field(ge=0, le=4294967295)]
Share = Annotated[float, Field(ge=0, le=1)]
PositiveShare = Annotated[float, Field(gt=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Dropout = Annotated[float, Field(ge=0, lt=1)]
Device = Literal["auto", "cpu", "cuda"]

Model = TypeVar("Model", bound=BaseModel)


def _no_duplicates(values: list[Any]) -> list[Any]:
    if len(set(values)) < len(values):
        raise ValueError("a list without duplicates")
    return values


NoDuplicates = AfterValidator(_no_duplicates)


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class Settings(_Fields):
    """What the result of a stage depends on."""

    def fingerprint(self) -> dict[str, Any]:
        """The settings as plain JSON values, for the provenance of the result.

        Raises UserError for a value that cannot be written the same way twice (NaN, a set, a date).
        """
        values = self.model_dump()
        to_json(values)
        return values


class Execution(_Fields):
    """How a stage is executed: nothing that its result depends on, but for rounding."""


class Files(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Inputs(Files):
    """The files that a stage reads."""


class Outputs(Files):
    """The files that a stage writes."""


class DeviceExecution(Execution):
    """Execution of a stage that runs a network."""

    device: Device = "auto"
    """Where to run: auto takes a GPU when there is one."""
    threads: Count = 1
    """CPU threads of one job."""


def divides(section: str, values: Model, multiple: str, divisor: str) -> Model:
    """For a class's validator: `values`, in which one field must be a multiple of another."""
    large, small = getattr(values, multiple), getattr(values, divisor)
    if large % small:
        raise ValueError(
            f"{section}.{multiple} is {large}, but must be a multiple of {section}.{divisor}, which is {small}"
        )
    return values


def to_json(values: Any) -> str:
    """Values as JSON with sorted keys. Raises UserError when they hold something that JSON does not know."""
    try:
        return json.dumps(values, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UserError(f"a setting holds a value that cannot be written down the same way twice: {error}") from None


# Mistakes as lines ----------------------------------------------------------------------------------------------------


def explain(error: ValidationError, model: type[BaseModel], prefix: str = "") -> list[str]:
    """A line for each mistake: the key, the value that was given, and what is allowed."""
    return [_explain(mistake, model, prefix) for mistake in error.errors(include_url=False)]


def _explain(mistake: Any, model: type[BaseModel], prefix: str) -> str:
    key = prefix + ".".join(map(str, mistake["loc"]))
    kind, given, context = mistake["type"], mistake["input"], mistake.get("ctx", {})
    if kind == "value_error":
        about_one_field = _schema_at(model, mistake["loc"]).get("type") not in (None, "object")
        return f"{key} is {given!r}, but must be {context['error']}" if about_one_field else str(context["error"])
    if kind == "extra_forbidden":
        return _unknown(mistake["loc"], model, prefix)
    if kind == "missing":
        return f"{key} is missing"
    schema = _schema_at(model, mistake["loc"])
    phrases = {
        "greater_than_equal": "at least {ge:g}",
        "less_than_equal": "at most {le:g}",
        "greater_than": "more than {gt:g}",
        "less_than": "less than {lt:g}",
        "multiple_of": "a multiple of {multiple_of}",
        "string_too_short": "text that is not empty"
        if context.get("min_length") == 1
        else "text of at least {min_length} characters",
        "too_short": "a list of at least {min_length}",
    }
    allowed = phrases[kind].format(**context) if kind in phrases else type_in_words(schema)
    return f"{key} is {given!r}, but must be {allowed}{_hint(given, allowed)}"


def _hint(given: Any, allowed: str) -> str:
    """Where the value is another than what was meant: habits of YAML and of Snakemake."""
    if isinstance(given, bool) and ("text" in allowed or allowed.startswith("one of")):
        return "; YAML takes no, yes, on and off for true and false: write it in quotes"
    if _is_number(given) and allowed.startswith("a number"):
        return "; write it as 0.0001 or 1.0e-4 (--config makes all its values text: write them into a file for --configfile)"
    plain = isinstance(given, str) and re.fullmatch(
        r"-?\d+|true|false|null|\[.*\]|\{.*\}", given.strip(), re.IGNORECASE
    )
    return "; snakemake --config makes all its values text: write them into a file for --configfile" if plain else ""


def _schema_at(model: type[BaseModel], loc: tuple[Any, ...]) -> dict[str, Any]:
    """The JSON schema of the place that a mistake names."""
    schema = model.model_json_schema()
    definitions, place = schema.get("$defs", {}), schema
    for name in loc:
        place = definitions[place["$ref"].rsplit("/", 1)[1]] if "$ref" in place else place
        options = [place, *place.get("anyOf", [])]
        place = next(
            (found for option in options if (found := option.get("properties", {}).get(name) or option.get("items"))),
            {},
        )
    return definitions[place["$ref"].rsplit("/", 1)[1]] if "$ref" in place else place


def _unknown(loc: tuple[Any, ...], model: type[BaseModel], prefix: str) -> str:
    *section, name = loc
    known = list(_schema_at(model, tuple(section)).get("properties", {}))
    place = prefix.rstrip(".") or ".".join(map(str, section))
    near = get_close_matches(str(name), known, 1)
    elsewhere = [key for key in model.model_fields if name in _schema_at(model, (key,)).get("properties", {})]
    if near:
        hint = f"did you mean {near[0]}?"
    elif elsewhere:
        hint = f"{name} is a key of {' and '.join(elsewhere)}"
    else:
        hint = f"it has: {', '.join(known)}"
    where = f"section {place}" if place else "the configuration"
    return f"{prefix}{'.'.join(map(str, loc))} is not a key of {where}; {hint}"


def _is_number(text: Any) -> bool:
    try:
        float(text if isinstance(text, str) else "")
    except ValueError:
        return False
    return True


# Fields in words ------------------------------------------------------------------------------------------------------

TYPES = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a section of keys",
    "null": "null",
}


def type_in_words(schema: dict[str, Any]) -> str:
    """The type of a JSON schema without its bounds: "a whole number or null"."""
    if "anyOf" in schema:
        return " or ".join(type_in_words(option) for option in schema["anyOf"])
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    return TYPES[schema["type"]] if "type" in schema else "anything"


def in_words(schema: dict[str, Any]) -> str:
    """A JSON schema in words, with its bounds: "a whole number, at least 1"."""
    if "anyOf" in schema:
        first, *others = [in_words(option) for option in schema["anyOf"]]
        return f"{first}{',' if ',' in first else ''} or {' or '.join(others)}"
    bounds = {
        "minimum": "at least {}",
        "exclusiveMinimum": "more than {}",
        "maximum": "at most {}",
        "exclusiveMaximum": "less than {}",
        "multipleOf": "a multiple of {}",
        "minItems": "at least {} of them",
    }
    parts = [type_in_words(schema)]
    if schema.get("type") == "array" and "items" in schema:
        parts = [f"a list, each {in_words(schema['items'])}" if schema["items"] else "a list"]
    parts += [words.format(schema[name]) for name, words in bounds.items() if name in schema]
    return ", ".join(parts)
