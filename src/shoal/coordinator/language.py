"""Languages: which language a text is written in, read off its characters and its smallest words.

Knows scripts first (a script names most languages by itself), then a few letters that only one of several languages
of a script uses, then function words for the Latin ones. Refuses to guess: a text without marks has no language.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

SAMPLED_CHARACTERS = 2_000
LEAST_CONFIDENCE = 0.4

# First code point, last code point, script. Sorted; everything outside is no letter we read.
_RANGES: tuple[tuple[int, int, str], ...] = (
    (0x0041, 0x005A, "latin"),
    (0x0061, 0x007A, "latin"),
    (0x00C0, 0x024F, "latin"),
    (0x0300, 0x036F, "latin"),
    (0x0370, 0x03FF, "greek"),
    (0x0400, 0x052F, "cyrillic"),
    (0x0590, 0x05FF, "hebrew"),
    (0x0600, 0x06FF, "arabic"),
    (0x0750, 0x077F, "arabic"),
    (0x0900, 0x097F, "devanagari"),
    (0x0980, 0x09FF, "bengali"),
    (0x0B80, 0x0BFF, "tamil"),
    (0x0C00, 0x0C7F, "telugu"),
    (0x0E00, 0x0E7F, "thai"),
    (0x1100, 0x11FF, "hangul"),
    (0x1E00, 0x1EFF, "latin"),
    (0x3005, 0x3007, "han"),
    (0x3041, 0x30FF, "kana"),
    (0x3130, 0x318F, "hangul"),
    (0x3400, 0x4DBF, "han"),
    (0x4E00, 0x9FFF, "han"),
    (0xAC00, 0xD7A3, "hangul"),
    (0xF900, 0xFAFF, "han"),
    (0xFB50, 0xFDFF, "arabic"),
    (0xFE70, 0xFEFE, "arabic"),
    (0xFF66, 0xFF9F, "kana"),
)
_STARTS = tuple(first for first, _, _ in _RANGES)

_BY_SCRIPT: Mapping[str, str] = {
    "hangul": "ko",
    "thai": "th",
    "devanagari": "hi",
    "greek": "el",
    "hebrew": "he",
    "bengali": "bn",
    "tamil": "ta",
    "telugu": "te",
}
_PERSIAN, _URDU = frozenset("پچژگکی"), frozenset("ٹڈڑےںہھ")
_UKRAINIAN = frozenset("іїєґІЇЄҐ")
_JAPANESE_HAN = frozenset("円価経済読売気検査働込畑峠辻枠桜駅図書応対関権総労発駄匂歳様込図黒単転")
_CHINESE_HAN = frozenset(
    "这们说个么对时会为来没你我他她它吗吧呢请给让从还过谁哪什怎样帮写问题级们"
    "這們說個麼對時會為來沒嗎請給讓從還過誰幫寫問題實際應該"
)
_LETTERS: Mapping[str, frozenset[str]] = {
    "vi": frozenset("ăđơưạảấầẩẫậắằẳẵặẹẻẽếềểễệỉịọỏốồổỗộớờởỡợụủứừửữựỳỵỷỹ"),
    "tr": frozenset("ışğİ"),
    "de": frozenset("ßäöü"),
    "es": frozenset("ñ¿¡"),
    "pt": frozenset("ãõ"),
    "fr": frozenset("œèêçùû"),
    "pl": frozenset("łżźśćńęą"),
}
_WORDS: Mapping[str, str] = {
    "en": "the of and to is in that it for was with are this be what how you have not from which can my please do does "
    "write explain why when who",
    "fr": "le la les des et est un une du que dans pour qui sur pas au avec ce cette sont vous je nous quel quelle "
    "comment écris pourquoi est-ce",
    "de": "der die das und ist ein eine nicht mit von zu "  # codespell:ignore ist
    "den auf für im dem sich wie ich sie was bitte kann warum auch",  # codespell:ignore sie
    "es": "el la los las de y es un una que en por con para se no del como qué cómo cuál por porque está son",
    "pt": "o a os as de e é um uma que em por com para não se do da no na como você qual mais são está",
    "it": "il lo la gli le di e è un una che in per con non si del della come sono cosa perché qual più anche",
    "id": "yang dan di ini itu dengan untuk dari tidak adalah pada ke dalam apa bagaimana saya akan bisa berapa anda "
    "karena juga",
    "ms": "yang dan di ini itu dengan untuk daripada tidak adalah pada ke dalam apa bagaimana saya akan boleh berapa "
    "awak kerana juga ialah",
    "vi": "và của là có không được cho một các trong này với những để người tôi bao nhiêu gì như thế nào",
    "tr": "ve bir bu için ile da de ne çok nasıl "  # codespell:ignore bu
    "mı mi değil olarak gibi var daha kadar nedir olan",
    "nl": "de het een en van is dat niet op te zijn met voor wat hoe ik je waarom",
    "pl": "i w nie na się to jest że z do jak co czy po dla",
}
_WORD = re.compile(r"[^\W\d_]+(?:[-'][^\W\d_]+)*")


def _spread(words: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    languages: dict[str, list[str]] = {}
    for language, text in words.items():
        for word in set(text.split()):
            languages.setdefault(word, []).append(language)
    return {word: tuple(sorted(found)) for word, found in languages.items()}


_LANGUAGES_OF = _spread(_WORDS)


@dataclass(frozen=True, slots=True)
class Reading:
    """The language of a text, or None where there is no telling, and how sure that is (0 to 1)."""

    language: str | None
    confidence: float
    scripts: Mapping[str, float]


@lru_cache(maxsize=8_192)
def script_of(character: str) -> str | None:
    """Return the script of a letter, or None for anything else."""
    code = ord(character)
    at = bisect_right(_STARTS, code) - 1
    return _RANGES[at][2] if at >= 0 and code <= _RANGES[at][1] else None


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case; scripts without spaces give long ones."""
    return _WORD.findall(text.lower())


def read_language(text: str, words: Sequence[str] | None = None) -> Reading:
    """Return the language of a text; only its first characters are read."""
    sample = text[:SAMPLED_CHARACTERS]
    counts = Counter(sample)
    scripts: dict[str, int] = {}
    for character, count in counts.items():
        script = script_of(character)
        if script is not None:
            scripts[script] = scripts.get(script, 0) + count
    letters = sum(scripts.values())
    if not letters:
        return Reading(None, 0.0, {})
    shares = {script: count / letters for script, count in scripts.items()}
    language, confidence = _judge(shares, counts, words_of(sample) if words is None else words)
    return Reading(language if confidence >= LEAST_CONFIDENCE else None, round(confidence, 3), shares)


def _judge(shares: Mapping[str, float], counts: Counter[str], words: Sequence[str]) -> tuple[str | None, float]:
    # One letter of an East Asian script says about as much as four Latin ones, which code and names bring anywhere.
    weights = {script: share * (1 if script == "latin" else 4) for script, share in shares.items()}
    if "kana" in weights:
        weights["kana"] += weights.pop("han", 0.0)
    script = max(sorted(weights), key=lambda name: weights[name])
    confidence = weights[script] / sum(weights.values())
    if script in _BY_SCRIPT:
        return _BY_SCRIPT[script], confidence
    if script == "kana":
        return "ja", confidence
    if script == "han":
        return _among(counts, {"ja": _JAPANESE_HAN, "zh": _CHINESE_HAN}, None, confidence)
    if script == "arabic":
        if _held(counts, _URDU):
            return "ur", confidence
        return ("fa" if _held(counts, _PERSIAN) else "ar"), confidence
    if script == "cyrillic":
        return ("uk" if _held(counts, _UKRAINIAN) else "ru"), confidence
    return _latin(counts, words, confidence)


def _held(counts: Counter[str], letters: Iterable[str]) -> int:
    return sum(counts[letter] for letter in letters)


def _among(
    counts: Counter[str], marks: Mapping[str, frozenset[str]], otherwise: str | None, confidence: float
) -> tuple[str | None, float]:
    found = {language: _held(counts, letters) for language, letters in marks.items()}
    best = max(sorted(found), key=lambda language: found[language])
    total = sum(found.values())
    return (best, confidence * found[best] / total) if total else (otherwise, 0.0)


def _latin(counts: Counter[str], words: Sequence[str], confidence: float) -> tuple[str | None, float]:
    votes: dict[str, float] = {}
    for word in words[:400]:
        for language in _LANGUAGES_OF.get(word, ()):
            votes[language] = votes.get(language, 0.0) + 1.0
    for language, letters in _LETTERS.items():
        count = sum(count for letter, count in counts.items() if letter in letters or letter.lower() in letters)
        if count:
            votes[language] = votes.get(language, 0.0) + 0.75 * count
    if not votes:
        return None, 0.0
    ordered = sorted(votes.items(), key=lambda vote: (-vote[1], vote[0]))
    best, most = ordered[0]
    second = ordered[1][1] if len(ordered) > 1 else 0.0
    margin = 1.0 if second == 0.0 else most / (most + second)
    evidence = min(1.0, (0.5 + most) / 2.0)
    return best, confidence * margin * evidence
