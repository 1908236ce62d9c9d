"""Trees of HCL without places: what two texts that mean the same have in common."""
from holdfast.config.hcl import Array, Item, Key, Literal, Object, Position, Value

NOWHERE = Position(0, 0)


def nowhere(value: Value) -> Value:
    """The same without places."""
    match value:
        case Literal(value=scalar):
            return Literal(scalar, NOWHERE)
        case Array(values=values):
            return Array(tuple(nowhere(each) for each in values), NOWHERE)
        case Object(items=items):
            return Object(tuple(Item(tuple(Key(key.text, NOWHERE) for key in item.keys), nowhere(item.value)) for item in items), NOWHERE)
