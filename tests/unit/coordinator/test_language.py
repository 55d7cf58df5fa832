"""Languages and subjects are told by their marks; without marks there is no answer."""

from __future__ import annotations

import pytest

from shoal.coordinator.language import read_language, words_of
from shoal.coordinator.subject import read_subject

SAMPLES = {
    "ja": "この契約書の要点を三行でまとめてください。",
    "zh": "请帮我写一封邮件，说明为什么这个问题还没有解决。",
    "ko": "이 계약서의 요점을 세 줄로 정리해 주세요.",
    "th": "ช่วยสรุปเอกสารนี้ให้หน่อย",
    "hi": "कृपया इस दस्तावेज़ का सारांश लिखिए",
    "ar": "من فضلك لخص هذا المستند في ثلاثة أسطر",
    "fa": "لطفا این متن را برای من خلاصه کنید چون پیچیده است",
    "ur": "براہ کرم اس دستاویز کا خلاصہ لکھیں کیونکہ یہ بہت لمبی ہے",
    "ru": "Пожалуйста, объясните этот договор простыми словами",
    "en": "Please explain what this contract means and why it is so long",
    "fr": "Explique-moi pourquoi le contrat est plus long que dans les autres pays",
    "de": "Bitte erkläre mir, warum der Vertrag nicht mit dem Gesetz vereinbar ist",  # codespell:ignore ist
    "es": "Explica por qué el contrato no es válido para los clientes de la empresa",
    "pt": "Explique por que o contrato não é válido para os clientes da empresa e como mudar",
    "it": "Spiega perché il contratto non è valido per la società e che cosa si può fare",
    "vi": "Hãy giải thích vì sao hợp đồng này không có hiệu lực cho người mua",
    "id": "Jelaskan mengapa kontrak ini tidak berlaku untuk pembeli dan apa yang bisa saya lakukan karena itu",
    "tr": "Bu sözleşme neden geçerli değil ve ne yapmak için daha çok zaman var mı",  # codespell:ignore bu
}


@pytest.mark.parametrize("language", SAMPLES)
def test_each_language_is_told_by_a_sentence(language: str) -> None:
    reading = read_language(SAMPLES[language])
    assert reading.language == language
    assert reading.confidence >= 0.4


@pytest.mark.parametrize("text", ["", "12345 !!", "OK", "三百", "🙂🙂🙂", "xyzzy"])
def test_without_marks_there_is_no_language(text: str) -> None:
    assert read_language(text).language is None


def test_names_and_code_do_not_hide_the_language_around_them() -> None:
    assert read_language("PythonのdictをJSONにする関数 json.dumps の使い方を教えて").language == "ja"


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("Write a function in Python that parses JSON", "coding"),
        ("```\nfoo\n```\nwhat does it do", "coding"),
        ("Prove the theorem about the derivative", "math"),
        ("Write a haiku about rain", "creative_writing"),
        ("Is this clause of the contract legal?", "law"),
        ("この症状の診断を教えて", "medicine"),
        ("How is tax on dividend income computed?", "finance"),
        ("Good morning", None),
    ],
)
def test_subjects_are_told_by_words_and_marks(text: str, subject: str | None) -> None:
    assert read_subject(text, words_of(text)) == subject
