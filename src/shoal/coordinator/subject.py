"""Subjects: what a request is about, read off words and marks on its surface.

Knows a short list of tell-tale words for each subject, in the languages people ask us most. Refuses to guess: a text
without marks has no subject, and the prior then comes from the language or from all subjects together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

NUMBERS = "numbers"
"""The practice pool's subject: the phrase table recognises it, never the words here."""

_WORDS: Mapping[str, str] = {
    "coding": "python javascript typescript rust java golang sql function bug compile compiler regex api code "
    "stacktrace traceback unittest refactor kubernetes docker git bash html css json yaml class async algorithm "
    "code-review fonction código programa программ",  # codespell:ignore fonction
    "math": "prove theorem integral derivative equation matrix probability algebra geometry polynomial solve calculus "
    "modulo eigenvalue equations théorème équation beweise gleichung ecuación",
    "creative_writing": "poem story haiku novel lyrics sonnet fiction poetry tale rhyme limerick screenplay "
    "poème histoire gedicht geschichte cuento puisi thơ",
    "law": "contract law legal statute court liability plaintiff gdpr lawsuit clause tort attorney copyright "
    "contrat juridique vertrag gesetz recht contrato ley hukum",
    "medicine": "patient symptom symptoms diagnosis dose disease medicine drug clinical therapy treatment doctor pain "
    "cancer médecin symptôme krankheit arzt médico enfermedad dokter obat",
    "finance": "stock bond interest invoice tax revenue portfolio inflation accounting budget investment bank loan "
    "balance-sheet dividend impôt steuer impuesto pajak",
    "science": "physics chemistry biology molecule quantum species enzyme galaxy thermodynamics protein",
}
_PIECES: Mapping[str, tuple[str, ...]] = {
    "coding": ("コード", "関数", "プログラム", "代码", "函数", "编程", "코드", "함수", "โค้ด", "कोड", "كود", "برمج"),
    "math": ("方程式", "証明せよ", "証明し", "积分", "方程", "证明", "방정식", "증명", "สมการ", "समीकरण", "معادلة"),
    "creative_writing": (
        "俳句",
        "物語",
        "小説",
        "诗",
        "故事",
        "小说",
        "시를",
        "소설",
        "บทกวี",
        "कविता",
        "कहानी",
        "قصيدة",
    ),
    "law": ("契約", "法律", "訴訟", "合同", "诉讼", "계약", "법률", "กฎหมาย", "कानून", "قانون"),
    "medicine": ("症状", "診断", "患者", "诊断", "증상", "진단", "อาการ", "लक्षण", "أعراض"),
    "finance": ("株式", "税金", "投資", "股票", "税务", "投资", "주식", "세금", "หุ้น", "शेयर", "ضريبة"),
}
_CODE_MARKS = ("```", "def ", "import ", "#include", "SELECT ", "console.log", "fn main", "public static", "=> {", "</")
_MATH_MARKS = ("\\frac", "\\int", "\\sum", "\\sqrt", "$$", "∫", "∑", "√", "≤")
_SAMPLED = 2_000

_SUBJECT_OF: Mapping[str, str] = {word: subject for subject, words in _WORDS.items() for word in words.split()}


def read_subject(text: str, words: Sequence[str]) -> str | None:
    """Return the subject most of the marks speak for, or None."""
    sample = text[:_SAMPLED]
    votes: dict[str, int] = {}
    for word in set(words):
        subject = _SUBJECT_OF.get(word)
        if subject is not None:
            votes[subject] = votes.get(subject, 0) + 1
    if any(mark in sample for mark in _CODE_MARKS):
        votes["coding"] = votes.get("coding", 0) + 3
    if any(mark in sample for mark in _MATH_MARKS):
        votes["math"] = votes.get("math", 0) + 2
    if not sample.isascii():
        for subject, pieces in _PIECES.items():
            found = sum(piece in sample for piece in pieces)
            if found:
                votes[subject] = votes.get(subject, 0) + found
    if not votes:
        return None
    return min(votes, key=lambda subject: (-votes[subject], subject))
