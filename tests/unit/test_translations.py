"""The texts of pages and terminal have a translation, and a reader gets the language that he prefers."""

import re
from collections import Counter
from importlib.resources import files
from importlib.resources.abc import Traversable

import pytest
from babel.messages.catalog import Catalog, Message
from jinja2 import Environment

from exporter.language import (
    CHINESE,
    ENGLISH,
    LANGUAGES,
    Translatable,
    choose_from_environment,
    choose_from_header,
    match_language,
)
from exporter.translation import IN_ENGLISH, Translator
from exporter.views.formatting import format_duration, format_latency, format_number, format_percent
from exporter.views.meanings import explain_value
from html_page import VisibleText
from tools.translations import TRANSLATED, catalogue_file, extract_texts, find_missing, read_catalogue, translations

IN_CHINESE = Translator(CHINESE)
CATALOGUES = {language: read_catalogue(catalogue_file(language)) for language in TRANSLATED}
TEMPLATES = [file for file in (files("exporter.web.pages") / "templates").iterdir() if file.name.endswith(".html")]

every_catalogue = pytest.mark.parametrize("catalogue", CATALOGUES.values(), ids=CATALOGUES.keys())


def keys(catalogue: Catalog) -> set[tuple[str | None, str]]:
    """Return context and English text of all messages; of a plural, its first form."""
    return {(message.context, english(message)[0]) for message in catalogue if message.id}


def english(message: Message) -> tuple[str, ...]:
    """Return the English forms of a message."""
    return (message.id,) if isinstance(message.id, str) else tuple(message.id)


@every_catalogue
def test_every_text_of_the_code_is_in_the_catalogue_and_no_other(catalogue: Catalog) -> None:
    assert keys(catalogue) ^ keys(extract_texts()) == set(), "make translations"


@every_catalogue
def test_every_text_has_a_translation(catalogue: Catalog) -> None:
    assert [message.id for message in find_missing(catalogue)] == []


@every_catalogue
def test_a_translation_has_the_places_and_elements_of_the_english_text(catalogue: Catalog) -> None:
    part = re.compile(r"%\(\w+\)s|%%|<[^>]+>")
    for message in catalogue:
        if message.id:
            expected = {place for form in english(message) for place in part.findall(form)}
            for translation in translations(message):
                assert Counter(part.findall(translation)).keys() == expected, message.id


@pytest.mark.parametrize("language", TRANSLATED)
def test_the_compiled_catalogue_has_the_translations_of_the_source(language: str) -> None:
    translator = Translator(language)
    for message in CATALOGUES[language]:
        if message.id:
            text, *_ = english(message)
            if isinstance(message.id, str):
                found = translator.pgettext(message.context, text) if message.context else translator.gettext(text)
            else:
                found = translator.ngettext(text, message.id[1], 1)
            assert found == translations(message)[0], "make translations"


def untranslated(source: str) -> str:
    """Return a template without its expressions and without the texts that it translates."""
    text, is_translated, name = "", False, ""
    for _, kind, value in Environment(trim_blocks=True, lstrip_blocks=True).lex(source):
        if kind == "block_begin":
            name = ""
        elif kind == "name" and not name:
            name = value
            is_translated = name in {"trans", "pluralize"} or (is_translated and name != "endtrans")
        elif kind == "data" and not is_translated:
            text += value
    return text


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
def test_a_template_contains_no_text_that_is_not_marked_for_translation(template: Traversable) -> None:
    words = re.findall(r"[A-Za-z]{2,}", " ".join(VisibleText(untranslated(template.read_text("utf-8"))).texts))
    assert set(words) <= {"UTC", "CSV", "JSON"}


def test_the_check_of_templates_finds_text_in_elements_and_attributes() -> None:
    good = '{{ _("Good") }}'
    source = f'<p title="Bad title">Bad text {good}{{% trans %}}Good{{% endtrans %}}</p><p aria-label="{good}"></p>'
    assert VisibleText(untranslated(source)).texts == ["Bad title", "Bad text "]


@pytest.mark.parametrize(
    ("tag", "language"),
    [
        ("zh", CHINESE),
        ("zh-CN", CHINESE),
        ("zh-Hans-TW", CHINESE),
        ("zh_SG.UTF-8", CHINESE),
        ("zh_CN.GB18030@pinyin", CHINESE),
        ("zh-TW", None),
        ("zh-Hant-HK", None),
        ("en-GB", ENGLISH),
        ("de", None),
        ("*", None),
        ("", None),
    ],
)
def test_a_tag_or_locale_matches_a_language(tag: str, language: str | None) -> None:
    assert match_language(tag) == language


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", ENGLISH),
        ("zh-CN,zh;q=0.9,en;q=0.8", CHINESE),
        ("zh-TW,zh;q=0.9,en;q=0.8", CHINESE),
        ("en-US,en;q=0.9,zh-CN;q=0.8", ENGLISH),
        ("de, zh ; q=0.5", CHINESE),
        ("en;q=0.1,zh;q=0.2", CHINESE),
        ("zh;q=0,de", ENGLISH),
        ("zh;q=nan,zh;q=9,zh;q=-1", ENGLISH),
        ("*", ENGLISH),
        (",;=,zh;;", ENGLISH),
    ],
)
def test_a_browser_gets_the_language_that_it_prefers(header: str, language: str) -> None:
    assert choose_from_header(header) == language


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "en_US.UTF-8"}, ENGLISH),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, CHINESE),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, ENGLISH),
        ({"LANG": "en_US.UTF-8", "LANGUAGE": "de:zh_CN:en"}, CHINESE),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, ENGLISH),
        ({"LANG": "de_DE.UTF-8"}, ENGLISH),
    ],
)
def test_a_terminal_gets_the_language_that_gettext_would_choose(environ: dict[str, str], language: str) -> None:
    assert choose_from_environment(environ) == language


def test_a_text_is_english_until_it_is_translated() -> None:
    iam = Translatable("check iam.endpoint")
    hint = Translatable("check that the server speaks TLS on this port; %(otherwise)s", otherwise=iam)
    assert hint == "check that the server speaks TLS on this port; check iam.endpoint"
    assert IN_ENGLISH.translate(hint) == hint
    assert IN_CHINESE.translate(hint) == "检查服务器在该端口上是否使用TLS；检查iam.endpoint"


def test_values_from_outside_are_not_translated() -> None:
    assert IN_CHINESE.translate(Translatable("clone: %(error)s", error="yes")) == "克隆：yes"


@pytest.mark.parametrize("language", LANGUAGES)
def test_an_empty_text_stays_empty(language: str) -> None:
    assert Translator(language).translate("") == ""


def test_durations_and_numbers_are_written_as_usual_in_chinese() -> None:
    assert format_duration(7500, IN_CHINESE) == "2小时5分钟"
    assert format_duration(0, IN_CHINESE) == "0秒"
    assert format_latency(0.084, IN_CHINESE) == "84毫秒"
    assert format_latency(1.25, IN_CHINESE) == "1.25秒"
    assert format_percent(12.5, IN_CHINESE) == "12.5%"
    assert format_number(10000) == "10,000"


def test_plural_forms_are_those_of_the_language() -> None:
    forms = ("%(number)s server", "%(number)s servers")
    assert [IN_ENGLISH.ngettext(*forms, number) for number in (0, 1, 2)] == [forms[1], forms[0], forms[1]]
    assert {IN_CHINESE.ngettext(*forms, number) for number in (0, 1, 2)} == {"%(number)s台服务器"}


def test_a_value_of_the_api_is_followed_by_its_meaning() -> None:
    assert explain_value("clearfailed", "state", IN_CHINESE) == "clearfailed（清理快照资源失败）"
    assert explain_value("clearfailed", "state", IN_ENGLISH) == "clearfailed"
    assert explain_value("new-state", "state", IN_CHINESE) == "new-state"
