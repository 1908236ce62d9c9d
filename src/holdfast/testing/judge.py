"""The judgement of everything that clients of a simulated cluster were answered, against what is there in the end and what each snapshot
that was put back held.

Where none was, and reads are to be linearizable, `linearizable` judges each register by itself; else `generations` does.
"""
from collections.abc import Callable, Iterator
from functools import cache

from holdfast.ha.settings import Consistency
from holdfast.testing.clients import ALIVE, DEAD, Clients, shown, shown_versions
from holdfast.testing.cluster import Cluster, Node
from holdfast.testing.generations import Held, Register, as_read, check_restores, generations_of
from holdfast.testing.history import Act, Operation, by_key, show
from holdfast.testing.linearizable import INITIAL, check_unique, check_versions
from holdfast.testing.loop import SimulationError
from holdfast.testing.restores import Restore, Saved, View


def judge(cluster: Cluster, clients: Clients, active: Node) -> None:
    """Raises SimulationError. `active`: it has everything, and nothing is under way any more."""
    keyring = active.workers.keyring
    assert keyring is not None, "an active node is unsealed"
    judge_ = _Judge(cluster, clients, View(cluster.access, active.host.replica, keyring, active.main.facts))
    for key, history, found in judge_.verdicts():
        if found is not None:
            raise SimulationError(f"not {judge_.promise}: {found}\n{show(history)}" if history else f"{key}: {found}")


class _Judge:
    def __init__(self, cluster: Cluster, clients: Clients, now: View) -> None:
        assert cluster.root is not None
        self._cluster, self._clients, self._now, self._root, self._restores = cluster, clients, now, cluster.root, cluster.restores
        self._are_ordered = cluster.options.consistency is not Consistency.SESSION
        self._view: Callable[[Saved], View] = cache(lambda saved: saved.view(cluster.access))
        self.promise = "linearizable" if self._are_ordered else "what sessions are promised"

    def verdicts(self) -> Iterator[tuple[str, list[Operation], str | None]]:
        yield "restores", [], check_restores(self._restores)
        is_plain = self._are_ordered and not self._restores.done
        for key, history in by_key(asked.operation() for asked in self._clients.registers).items():
            yield key, history, self._plain_register(key, history) if is_plain else self._register(key, history)
        for key, history in by_key(asked.operation() for asked in self._clients.tokens).items():
            yield key, history, check_unique(history) if is_plain else self._token(key, history)

    def _plain_register(self, key: str, history: list[Operation]) -> str | None:
        known = {each.version for each in history if each.version is not None and each.done is not False}
        return check_versions(history, shown_versions(self._now, self._root, key, known))

    def _register(self, key: str, history: list[Operation]) -> str | None:
        generations = generations_of(self._restores, lambda restore: shown(self._view(restore.saved), self._root, key))
        versions = shown_versions(self._now, self._root, key, frozenset())
        return Register(key, history, generations, self._restores, versions).check(reads_are_ordered=self._are_ordered)

    def _token(self, key: str, history: list[Operation]) -> str | None:
        """A register that is written twice: a token is created, and revoked."""
        token = self._clients.created[key]
        created = next(each for each in history if each.value == ALIVE and each.act is Act.WRITE)

        def held(restore: Restore) -> Held:
            if self._view(restore.saved).ask("auth/token/lookup-self", token).status == 200:
                return 1, ALIVE
            return (2, DEAD) if self._restores.holds(restore.saved.index, created.index) else (0, INITIAL)

        return Register(key, history, generations_of(self._restores, held), self._restores, None,
                        _as_looked_up).check(reads_are_ordered=self._are_ordered)


def _as_looked_up(each: Operation) -> tuple[Held, ...]:
    """A token that is not there yet, or not any more, is as dead as one that was revoked."""
    return ((0, INITIAL), (2, DEAD)) if each.value == DEAD else as_read(each)
