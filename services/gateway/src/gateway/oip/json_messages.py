"""Protobuf messages as the JSON that the protocol's REST form wants: proto names, whole numbers as numbers."""

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

Json = bool | int | float | str | list["Json"] | dict[str, "Json"] | None


def to_json(message: Message) -> dict[str, Json]:
    """Return every field of a message, empty ones too, except messages that are not set."""
    return {
        field.name: _value(field, getattr(message, field.name))
        for field in message.DESCRIPTOR.fields
        if field.is_repeated or field.message_type is None or message.HasField(field.name)
    }


def _value(field: FieldDescriptor, value: object) -> Json:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        values = field.message_type.fields_by_name["value"]
        return {str(key): _single(values, value[key]) for key in value}  # type: ignore[index,attr-defined]
    if field.is_repeated:
        return [_single(field, each) for each in value]  # type: ignore[attr-defined]
    return _single(field, value)


def _single(field: FieldDescriptor, value: object) -> Json:
    if isinstance(value, Message):
        return to_json(value)
    if field.enum_type is not None:
        return str(field.enum_type.values_by_number[value].name)  # type: ignore[index]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value  # type: ignore[return-value]
