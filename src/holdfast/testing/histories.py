"""Made histories of one register, right ones and spoilt ones, to try checkers on."""
from math import inf
from random import Random

from msgspec.structs import replace

from holdfast.testing.history import Act, Operation


def right(dice: Random, length: int, *, clients: int = 4, cas: bool = False, lost: float = 0.1) -> list[Operation]:
    """What a linearizable register gives: each operation takes place at some time between its invocation and its response. `lost`: the
    share without a response."""
    free = [0.0] * clients
    planned: list[tuple[float, float, float, int]] = []
    for _ in range(length):
        client = dice.randrange(clients)
        invoked = free[client] + dice.random()
        point, returned = invoked + dice.random(), 0.0
        returned = point + dice.random()
        free[client] = returned + 0.01
        planned.append((point, invoked, returned, client))
    held: str | None = None
    version = 0
    made: list[Operation] = []
    for number, (_, invoked, returned, client) in enumerate(sorted(planned)):
        is_lost = dice.random() < lost
        happens = not is_lost or dice.random() < 0.5
        act = dice.choice((Act.READ, Act.READ, Act.WRITE, Act.CAS) if cas else (Act.READ, Act.WRITE))
        value: str | None = f"v{number}"
        expected, done = None, True
        if act is Act.READ:
            value = held
        elif act is Act.CAS:
            expected = held if dice.random() < 0.7 else f"v{dice.randrange(length)}"
            done = expected == held
        if happens and act is not Act.READ and done:
            held, version = value, version + 1
        made.append(Operation(client=client, key="k", act=act, invoked=invoked, returned=inf if is_lost else returned, value=value,
                              expected=expected, done=done, version=None if is_lost else version))
        if is_lost:                                  # this client's next operation is another client's
            made[-1] = replace(made[-1], client=client + clients * (number + 1))
    return made


def spoilt(dice: Random, history: list[Operation]) -> list[Operation]:
    """The same, but one read saw another value, or one response came sooner: still right, now and then."""
    changed = list(history)
    reads = [index for index, each in enumerate(changed) if each.act is Act.READ and not each.is_open]
    if not reads:
        return changed
    index = dice.choice(reads)
    if dice.random() < 0.7:
        other = dice.choice(changed)
        changed[index] = replace(changed[index], value=other.value, version=other.version if not other.is_open else changed[index].version)
    else:
        by = dice.random() * 2
        changed[index] = replace(changed[index], invoked=changed[index].invoked + by, returned=changed[index].returned + by)
    return changed
