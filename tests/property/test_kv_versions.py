"""A KV version 2 secret against a model: a list of every version ever written."""
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.runner import Runner

from holdfast.secrets import KV_V2


@dataclass
class Written:
    value: int
    deletion_ms: int | None = None
    destroyed: bool = False


class Model:
    """What Vault's pages say, word by word."""

    def __init__(self) -> None:
        self.all: list[Written] = []
        self.oldest = 1
        self.max_mount = self.max_secret = 0
        self.after_s = 0

    def write(self, value: int, now_ms: int) -> None:
        self.all.append(Written(value, now_ms + 1000 * self.after_s if self.after_s else None))
        keep = max(self.max_mount, self.max_secret) or 10
        self.oldest = max(self.oldest, len(self.all) - keep + 1)

    def held(self, number: int) -> Written | None:
        return self.all[number - 1] if self.oldest <= number <= len(self.all) else None

    def gone(self, written: Written, now_ms: int) -> bool:
        return written.destroyed or (written.deletion_ms is not None and written.deletion_ms <= now_ms)

    def delete(self, numbers: list[int], now_ms: int) -> None:
        for written in filter(None, map(self.held, numbers)):
            if not self.gone(written, now_ms):
                written.deletion_ms = now_ms

    def undelete(self, numbers: list[int], now_ms: int) -> None:
        for written in filter(None, map(self.held, numbers)):
            if not written.destroyed:
                written.deletion_ms = now_ms + 1000 * self.after_s if self.after_s else None

    def destroy(self, numbers: list[int]) -> None:
        for written in filter(None, map(self.held, numbers)):
            written.destroyed = True


numbers = st.lists(st.integers(0, 14), min_size=1, max_size=4)
steps = st.one_of(
    st.tuples(st.just("write"), st.none()), st.tuples(st.just("write"), st.none()), st.tuples(st.just("delete_latest"), st.none()),
    st.tuples(st.sampled_from(["delete", "undelete", "destroy"]), numbers), st.tuples(st.sampled_from(["max_mount", "max_secret"]),
                                                                                      st.integers(0, 5)),
    st.tuples(st.just("after"), st.integers(0, 3)), st.tuples(st.just("wait"), st.integers(1, 2500)), st.tuples(st.just("wipe"), st.none()))


def do(step: str, argument: object, kv: Runner, model: Model) -> Model:
    match step, argument:
        case "write", _:
            value = len(model.all)
            assert kv.post("data/a", {"data": {"v": value}, "options": {"cas": len(model.all)}}).data["version"] == value + 1
            model.write(value, kv.now_ms)
        case "delete_latest", _:
            kv.delete("data/a")
            model.delete([len(model.all)], kv.now_ms)
        case ("delete" | "undelete" | "destroy"), list(chosen):
            assert kv.post(f"{step}/a", {"versions": chosen}).status == 204
            model.destroy(chosen) if step == "destroy" else getattr(model, step)(chosen, kv.now_ms)
        case "max_mount", int(count):
            kv.post("config", {"max_versions": count})
            model.max_mount = count
        case "max_secret", int(count):
            kv.post("metadata/a", {"max_versions": count})
            model.max_secret = count
        case "after", int(after_s):
            kv.post("config", {"delete_version_after": after_s})
            model.after_s = after_s
        case "wait", int(ms):
            kv.now_ms += ms
        case "wipe", _:
            kv.delete("metadata/a")
            kept, model = model, Model()
            model.max_mount, model.after_s = kept.max_mount, kept.after_s
    return model


def agree(kv: Runner, model: Model) -> None:
    for number in range(1, len(model.all) + 2):
        found, expected = kv.get("data/a", query={"version": str(number)}), model.held(number)
        if expected is None:
            assert (found.status, found.body) == (404, b"")
        else:
            gone = model.gone(expected, kv.now_ms)
            assert found.status == (404 if gone else 200)
            assert found.data["data"] == (None if gone else {"v": expected.value})
            assert found.data["metadata"]["destroyed"] is expected.destroyed
    with_value = sum(not written.destroyed for written in model.all[model.oldest - 1:])
    assert len(kv.keys("value/")) == with_value


@settings(max_examples=60)
@given(st.lists(steps, max_size=30))
def test_versions_are_what_the_model_says(script: list[tuple[str, object]]) -> None:
    kv, model = Runner(KV_V2), Model()
    for step, argument in script:
        model = do(step, argument, kv, model)
        agree(kv, model)
