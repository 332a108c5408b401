"""What the first guarded call needs of `typing` at run time, without loading it.

To a type checker these are the names of `typing` themselves. When the code
runs, `NamedTuple` makes records that behave as those of `typing` do (fields,
defaults, `_replace`, `_asdict`, `_make`, `_fields`, pickling, matching), and
`Generic` and `Protocol` are empty bases: nothing here is checked at run time.
`typing` alone is a third of what a cold start may spend on this package
(benchmarks/README.md), and its records compile a constructor each.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Generic, NamedTuple, Protocol, TypeVar

    __all__ = ["Generic", "NamedTuple", "Protocol", "TypeVar"]
else:
    from collections import _tuplegetter  # the accessor of collections.namedtuple, with its fallback

    class _Signature:
        """What help() and tools are told of a constructor: its fields, not `*given, **named`."""

        def __get__(self, _record, kind):
            from inspect import Parameter, Signature

            defaults, hints = kind._field_defaults, kind.__annotations__
            either = Parameter.POSITIONAL_OR_KEYWORD
            return Signature(
                [
                    Parameter(
                        field, either, default=defaults.get(field, Parameter.empty), annotation=hints[field]
                    )
                    for field in kind._fields
                ]
            )

    class _Record(tuple):
        """What all records have in common."""

        __slots__ = ()
        _fields = ()
        __signature__ = _Signature()
        _field_defaults = {}  # noqa: RUF012 - as collections.namedtuple has it; never changed

        def __new__(cls, *given, **named):
            if named or len(given) != len(cls._fields):
                given = _completed(cls, given, named)
            return tuple.__new__(cls, given)

        @classmethod
        def _make(cls, values):
            """Return a record of the values, one per field."""
            return cls(*values) if len(values := tuple(values)) == len(cls._fields) else _refuse(cls, values)

        def _replace(self, **changes):
            """Return a record with some fields changed."""
            changed = tuple.__new__(self.__class__, map(changes.pop, self._fields, self))
            if changes:
                raise ValueError(f"Got unexpected field names: {list(changes)!r}")
            return changed

        __replace__ = _replace

        def _asdict(self):
            """Return the values by name."""
            return dict(zip(self._fields, self, strict=True))

        def __getnewargs__(self):
            return tuple(self)

        def __repr__(self):
            values = [f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True)]
            return f"{self.__class__.__name__}({', '.join(values)})"

    def _completed(cls, given, named):
        """The values in the order of the fields: given by place, by name, or by default."""
        fields, defaults = cls._fields, cls._field_defaults
        places = len(given)
        if places > len(fields):
            _refuse(cls, given)
        values = list(given)
        missing = []
        for field in fields[places:]:
            if field in named:
                values.append(named.pop(field))
            elif field in defaults:
                values.append(defaults[field])
            else:
                missing.append(field)
        if missing:
            raise TypeError(f"{cls.__name__}() is missing {', '.join(missing)}")
        for name in named:
            what = "twice" if name in fields else "an unexpected argument"
            raise TypeError(f"{cls.__name__}() got {what}: {name!r}; its fields are {', '.join(fields)}")
        return values

    def _refuse(cls, values):
        raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(values)}")

    class _Maker(type):
        """Makes the class of a record; the class itself is a plain one."""

        def __new__(mcs, name, bases, body):
            fields = tuple(body.get("__annotations__", ()))
            body["_field_defaults"] = {field: body.pop(field) for field in fields if field in body}
            for place, field in enumerate(fields):
                body[field] = _tuplegetter(place, "")
            body["__slots__"] = ()
            body["_fields"] = body["__match_args__"] = fields
            return type.__new__(type, name, (_Record,), body)

    class _Mark:
        """The base that a record names: it stands for the maker, and is none of its bases afterwards."""

        __slots__ = ()

        def __mro_entries__(self, bases):
            return (type.__new__(_Maker, "NamedTuple", (), {}),)

    NamedTuple = _Mark()

    class Generic:
        """A base without effect."""

        __slots__ = ()

        def __class_getitem__(cls, kind):
            return cls

    class Protocol:
        """A base without effect."""

        __slots__ = ()

    def TypeVar(name, *bound):  # noqa: N802 - stands for the class of that name
        """Return a name that nothing looks at."""
        return name
