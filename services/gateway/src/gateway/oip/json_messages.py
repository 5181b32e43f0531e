"""Protobuf messages as the JSON that the protocol's REST form wants: proto names, whole numbers as numbers."""

from typing import Any

from google.protobuf.message import Message

Field = Any  # protobuf's compiled descriptors share no type with those of its Python classes
Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def to_json(message: Message) -> dict[str, Json]:
    """Return every field of a message, empty ones too, except messages that are not set."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if field.is_repeated or field.message_type is None or message.HasField(field.name)
    }


def _value(field: Field, value: Any) -> Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        values = field.message_type.fields_by_name["value"]
        return {str(key): _single(values, value[key]) for key in value}
    if field.is_repeated:
        return [_single(field, each) for each in value]
    return _single(field, value)


def _single(field: Field, value: Any) -> Json:
    if isinstance(value, Message):
        return to_json(value)
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    scalar: bool | int | float | str = value
    return scalar
