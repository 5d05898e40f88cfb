"""The JSON that providers send, read as `json` reads it, and where `json` refuses."""

import json

import pytest

from chat_app.replies.completion import parsed

ODD = [
    '{"a":"\\ud83d"}',
    '{"a":"\\ud83d\\ude00"}',
    '{"a":NaN,"b":-Infinity,"c":1e999}',
    '{"a":123456789012345678901234567890}',
    '{"a":1,"a":2}',
    '{"a":-0,"b":1.0,"c":1E5}',
    '{"a":"\\u0000\u2028"}',
    '{"a":' + "[" * 250 + "]" * 250 + "}",
    ' \r\n\t"text" ',
]


@pytest.mark.parametrize("text", ODD)
def test_json_is_read_as_everywhere(text: str) -> None:
    # By its look: no NaN is another.
    assert repr(parsed(text)) == repr(parsed(text.encode())) == repr(json.loads(text))


@pytest.mark.parametrize("coding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_body_may_have_another_coding(coding: str) -> None:
    assert parsed('{"a":"ü"}'.encode(coding)) == {"a": "ü"}


@pytest.mark.parametrize(
    ("data", "value"),
    [
        ('{"a":"line\nline"}', {"a": "line\nline"}),
        (b'{"a":"\xff"}', {"a": "\ufffd"}),
        ('{"a":' + "9" * 5_000 + "}", {"a": float("inf")}),
    ],
)
def test_what_json_refuses_is_read_all_the_same(data: str | bytes, value: object) -> None:
    assert parsed(data) == value


@pytest.mark.parametrize("text", ["", "{", '{"a":1,}', "{'a':1}", '{"a":1}x', "[" * 100_000, "hello"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parsed(text)
