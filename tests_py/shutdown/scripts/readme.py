"""What people write: decorated functions and a runtime at the top of a module."""

import clew


@clew.capability("text.words", version="1.2.0")
def words(doc: str) -> int:
    return len(doc.split())


with clew.Runtime("work.db", workers=2) as rt:
    rt.register(words)
    assert rt.execute("text.words@^1", {"doc": "a b c"}) == 3
    assert rt.submit("text.words", {"doc": "a b"}).result() == 2
    assert list(rt.map("text.words", [{"doc": "a"}] * 3)) == [1, 1, 1]

left_open = clew.Runtime(workers=2)
left_open.register(words)
assert left_open.execute("text.words", {"doc": "a b c"}) == 3
print("ok")
