"""CloudFormation's functions and conditions, for those that a template may use here.

Resolving never guesses: an unknown function, reference or attribute is an error,
and so is a parameter value that the template's own bounds refuse. Values of
parameters are texts, as CloudFormation substitutes them; who needs a number
reads it.

Source: AWS CloudFormation user guide, "Intrinsic function reference",
"Conditions", "Rules".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from flyball.hints import did_you_mean
from flyball_local.template.errors import TemplateError

_PLACE = re.compile(r"\$\{(!?)([^}]+)\}")


class Made(NamedTuple):
    """What a resource is known by once it is there: its Ref, and its attributes for GetAtt."""

    ref: str
    attributes: Mapping[str, str]


class NoValue:
    """AWS::NoValue: the property or list entry is left out."""


NO_VALUE = NoValue()


class Intrinsics:
    """One template's functions, with values for its parameters.

    Args:
        template: After macros.
        parameters: Values that differ from the defaults.
        pseudo: AWS::AccountId and the like.
        made: Makes (or finds) the resource of a logical id.

    Raises:
        TemplateError: A parameter that the template does not know or allow, or a rule that fails.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, str],
        pseudo: Mapping[str, str],
        made: Callable[[str], Made],
    ) -> None:
        self._resources = template["Resources"]
        self._conditions: Mapping[str, Any] = template.get("Conditions", {})
        self._values = _parameter_values(template.get("Parameters", {}), parameters)
        self._pseudo = pseudo
        self._made = made
        for name, rule in template.get("Rules", {}).items():
            if "RuleCondition" not in rule or self.holds(rule["RuleCondition"], name):
                for assertion in rule["Assertions"]:
                    if not self.holds(assertion["Assert"], name):
                        raise TemplateError(assertion["AssertDescription"], where=f"Rules.{name}")

    def exists(self, logical: str) -> bool:
        """Whether a resource's condition lets it be made."""
        condition = self._resources[logical].get("Condition")
        return condition is None or self.condition(condition)

    def condition(self, name: str) -> bool:
        """Return a named condition's value."""
        if name not in self._conditions:
            raise TemplateError(f"unknown condition{did_you_mean(name, self._conditions)}", where=name)
        return self.holds(self._conditions[name], name)

    def holds(self, node: Any, where: str) -> bool:
        """Return the value of a condition function."""
        if not isinstance(node, Mapping) or len(node) != 1:
            raise TemplateError(f"{node!r} is no condition", where=where)
        ((function, argument),) = node.items()
        if function == "Condition":
            return self.condition(argument)
        if function == "Fn::Equals":
            left, right = (self.value(side, where) for side in argument)
            return bool(left == right)
        parts = [self.holds(part, where) for part in argument]
        if function == "Fn::Not":
            return not parts[0]
        if function == "Fn::And":
            return all(parts)
        if function == "Fn::Or":
            return any(parts)
        raise TemplateError(f"{function} is no condition function", where=where)

    def value(self, node: Any, where: str) -> Any:
        """Return a property with every function in it carried out."""
        if isinstance(node, Mapping):
            if len(node) == 1:
                ((name, argument),) = node.items()
                if name in ("Ref", "Condition") or name.startswith("Fn::"):
                    return self._call(name, argument, where)
            resolved = {key: self.value(part, f"{where}.{key}") for key, part in node.items()}
            return {key: part for key, part in resolved.items() if part is not NO_VALUE}
        if isinstance(node, list):
            entries = (self.value(part, f"{where}[{i}]") for i, part in enumerate(node))
            return [entry for entry in entries if entry is not NO_VALUE]
        return node

    def _call(self, name: str, argument: Any, where: str) -> Any:
        if name == "Ref":
            return self._ref(argument, where)
        if name == "Fn::GetAtt":
            logical, attribute = argument.split(".", 1) if isinstance(argument, str) else argument
            return self._attribute(logical, attribute, where)
        if name == "Fn::Sub":
            return self._substitute(argument, where)
        if name == "Fn::If":
            condition, then, otherwise = argument
            return self.value(then if self.condition(condition) else otherwise, where)
        if name == "Fn::Join":
            separator, parts = argument
            return separator.join(self.value(parts, where))
        if name == "Fn::Split":
            separator, whole = argument
            return self.value(whole, where).split(separator)
        raise TemplateError(f"{name} is not emulated", where=where)

    def _ref(self, name: str, where: str) -> Any:
        if name == "AWS::NoValue":
            return NO_VALUE
        if name in self._pseudo:
            return self._pseudo[name]
        if name in self._values:
            return self._values[name]
        self._check_logical(name, where)
        return self._made(name).ref

    def _attribute(self, logical: str, attribute: str, where: str) -> str:
        self._check_logical(logical, where)
        attributes = self._made(logical).attributes
        if attribute not in attributes:
            raise TemplateError(
                f"{logical} has no {attribute}{did_you_mean(attribute, attributes)}", where=where
            )
        return attributes[attribute]

    def _check_logical(self, name: str, where: str) -> None:
        if name not in self._resources:
            raise TemplateError(f"nothing is called {name}{did_you_mean(name, self._resources)}", where=where)
        if not self.exists(name):
            raise TemplateError(f"{name} is switched off by its condition", where=where)

    def _substitute(self, argument: Any, where: str) -> str:
        if not isinstance(argument, str):
            raise TemplateError("only the short form of Fn::Sub is emulated", where=where)

        def filled(found: re.Match[str]) -> str:
            literal, name = found.groups()
            if literal:
                return "${" + name + "}"
            if "." in name:
                logical, attribute = name.split(".", 1)
                return self._attribute(logical, attribute, where)
            return str(self._ref(name, where))

        return _PLACE.sub(filled, argument)


def _parameter_values(declared: Mapping[str, Any], given: Mapping[str, str]) -> dict[str, str]:
    for name in given:
        if name not in declared:
            raise TemplateError(f"unknown parameter{did_you_mean(name, declared)}", where=name)
    values = {}
    for name, rule in declared.items():
        if name not in given and "Default" not in rule:
            raise TemplateError("a parameter without default needs a value", where=name)
        value = str(given.get(name, rule.get("Default")))
        allowed = [str(choice) for choice in rule.get("AllowedValues", [])]
        if allowed and value not in allowed:
            raise TemplateError(f"{value!r} must be one of {', '.join(allowed)}", where=name)
        pattern = rule.get("AllowedPattern")
        if pattern is not None and not re.fullmatch(pattern, value):
            raise TemplateError(f"{value!r} must match {pattern}", where=name)
        low, high = float(rule.get("MinValue", "-inf")), float(rule.get("MaxValue", "inf"))
        if rule["Type"] == "Number" and not low <= float(value) <= high:
            raise TemplateError(f"{value} must lie in [{low:g}, {high:g}]", where=name)
        values[name] = value
    return values
