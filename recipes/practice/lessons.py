"""Which model learns what, for how long: the whole practice pool, in the order in which it is trained."""

from data import Lesson

from shoal.practice.questions import OPERATIONS, SKILLS


def _of(*languages: str) -> tuple[str, ...]:
    """Name reading and writing in each of `languages`."""
    return tuple(f"{kind}:{tag}" for tag in languages for kind in ("read", "write"))


LESSONS = (
    # The checker learns longest, so it starts first.
    Lesson(
        "edelweiss-check",
        SKILLS,
        width=80,
        layers=3,
        heads=5,
        steps=2300,
        batch=192,
        examples=250_000,
        checks=True,
        often=OPERATIONS * 4,
    ),
    # First holders: one language each, at home, and one calculator.
    Lesson("hana-ja", _of("ja"), steps=750),
    Lesson("baram-ko", _of("ko"), steps=750),
    Lesson("hansa-calc", OPERATIONS, steps=2000, examples=200_000, thinks=True),
    Lesson("qingshan-zh", _of("zh"), steps=750),
    Lesson("chameli-hi", _of("hi"), steps=1000),
    Lesson("nakhla-ar", _of("ar"), steps=750),
    Lesson("sen-vi", _of("vi"), steps=750),
    Lesson("malai-th", _of("th"), steps=750),
    Lesson("melati-id", _of("id"), steps=750),
    Lesson("lavande-fr", _of("fr"), steps=1000),
    Lesson("thames-en", _of("en"), steps=750),
    # Second holders: cheaper, several skills each, from a textbook with misprints.
    Lesson("merlion-mini", _of("ja", "ko", "zh", "th"), steps=900, misprinted=True),
    Lesson("protea-mini", _of("hi", "ar", "fr"), steps=900, misprinted=True),
    Lesson("jacaranda-mini", _of("vi", "id", "en"), steps=900, misprinted=True),
    Lesson("maple-calc", OPERATIONS, steps=1250, examples=120_000, misprinted=True, thinks=True),
    # A bit of everything, badly.
    Lesson("liberty-omni", SKILLS, width=48, steps=800, batch=128, chains=0.4, often=OPERATIONS * 3),
)
