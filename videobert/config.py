"""Checks the configuration before anything runs, and turns a section into the flags of its command.

The schema (`workflow/schemas/config.schema.yaml`) says what each key may be. Messages name the key, the value that was
given and what is allowed, one line for each mistake, since "1 is not valid under any of the given schemas" helps nobody.
"""

import json
import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from videobert.errors import UserError
from videobert.web import options as web_settings

# Where a stage runs and how many cores it takes: they decide its speed, not its meaning, so a change of them must not
# make a thousand GPU hours stale. The rules pass them beside the tracked flags.
PLACE = ("device", "threads")


def check(config: dict[str, Any], schema: Path) -> None:
    """Raises UserError with one line for each mistake in `config`."""
    import yaml
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(yaml.safe_load(schema.read_text())).iter_errors(config), key=str)
    lines = [line for error in errors for line in _explain(error)] or _misfits(config)
    if lines:
        raise UserError("config: " + "\nconfig: ".join(lines))


def flags(section: dict[str, Any], without: Sequence[str] = PLACE) -> str:
    """A section as command-line flags, in the section's own words, quoted for the shell; without those of PLACE."""
    given = {key: value for key, value in section.items() if key not in without}
    return " ".join(f"--{key}={shlex.quote(_text(value))}" for key, value in sorted(given.items()))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _misfits(config: dict[str, Any]) -> list[str]:
    """What no schema can say: keys that must fit together."""
    model, decoder, forecasting = config["pretrain"], config["captioning"], config["forecasting"]
    lines = web_settings.misfits(config["download"])
    if model["save_steps"] % model["logging_steps"]:
        lines.append(
            f"pretrain.save_steps is {model['save_steps']}, but must be a multiple of pretrain.logging_steps, "
            f"which is {model['logging_steps']}"
        )
    if model["hidden_size"] % model["num_attention_heads"]:
        lines.append(
            f"pretrain.hidden_size is {model['hidden_size']}, but must be a multiple of pretrain.num_attention_heads, "
            f"which is {model['num_attention_heads']}"
        )
    templates = [("zero_shot.templates has", template) for template in config["zero_shot"]["templates"]]
    for key, template in [*templates, ("retrieval.template is", config["retrieval"]["template"])]:
        if template.count("[MASK]") != 2:
            lines.append(f"{key} {template!r}, but must hold [MASK] twice: for the verb and for the object")
    if decoder["hidden_size"] % decoder["num_attention_heads"]:
        lines.append(
            f"captioning.hidden_size is {decoder['hidden_size']}, but must be a multiple of "
            f"captioning.num_attention_heads, which is {decoder['num_attention_heads']}"
        )
    if "[MASK]" not in decoder["template"]:
        lines.append(f"captioning.template is {decoder['template']!r}, but must hold [MASK] at least once")
    if forecasting["context"] + forecasting["horizon"] + 3 > model["max_length"]:
        lines.append(
            f"forecasting.context is {forecasting['context']} and forecasting.horizon {forecasting['horizon']}, but with "
            f"[CLS], [>] and [SEP] they must fit in pretrain.max_length, which is {model['max_length']}"
        )
    return lines


def _explain(error: Any) -> list[str]:
    key = ".".join(map(str, error.absolute_path))
    rule, wanted, given = error.validator, error.validator_value, error.instance
    if rule == "additionalProperties":
        known = error.schema["properties"]
        return [_unknown(key, name, list(known)) for name in given if name not in known]
    if rule == "required":
        return [f"{'.'.join(filter(None, [key, name]))} is missing" for name in wanted if name not in given]
    if rule == "type":
        types = {"integer": "a whole number", "number": "a number", "string": "text", "boolean": "true or false"}
        types |= {"array": "a list", "object": "a section of keys", "null": "null"}
        allowed = " or ".join(types[name] for name in ([wanted] if isinstance(wanted, str) else wanted))
        hint = "; write it as 0.0001 or 1.0e-4" if isinstance(given, str) and _is_number(given) else ""
        return [f"{key} is {given!r}, but must be {allowed}{hint}"]
    phrases = {
        "minimum": f"at least {wanted}",
        "maximum": f"at most {wanted}",
        "exclusiveMinimum": f"more than {wanted}",
        "exclusiveMaximum": f"less than {wanted}",
        "enum": f"one of {', '.join(map(str, wanted))}" if rule == "enum" else "",
        "minLength": "not empty",
        "minItems": f"a list of at least {wanted}",
        "uniqueItems": "a list without doubles",
    }
    return [f"{key} is {given!r}, but must be {phrases[rule]}" if rule in phrases else f"{key}: {error.message}"]


def _unknown(section: str, name: str, known: list[str]) -> str:
    place = f"section {section}" if section else "the configuration"
    near = get_close_matches(str(name), known, 1)
    hint = f"did you mean {near[0]}?" if near else f"it has: {', '.join(known)}"
    return f"{'.'.join(filter(None, [section, str(name)]))} is not a key of {place}; {hint}"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
