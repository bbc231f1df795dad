"""What a capture keeps of the answers of the API, and what it replaces."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from yarl import URL

from exporter.capture.anonymizer import MAX_DEPTH, Anonymizer, keep_headers
from exporter.capture.fields import DOCUMENTED_OBJECTS, KNOWN_NAMES, is_harmless
from exporter.capture.file import (
    MAX_BODY_BYTES,
    BadCapture,
    Capture,
    Exchange,
    decode_capture,
    encode_capture,
    read_capture,
    write_capture,
)
from exporter.commands.capture import describe
from exporter.commands.capture_reading import MAX_EXCHANGES, Recorder, build_capture
from exporter.http.transport import Request, Response
from exporter.settings import Settings
from exporter.sms.model import SOURCE_STATES, TASK_STATES
from support import DATA, NOW, FakeClock, example

ID = "0b0a7c1e-92b3-4b7a-9d0e-3c1c5a2f7d11"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text() | st.sampled_from(sorted(KNOWN_NAMES)), children),
)


def replace(value: Any) -> Any:
    return Anonymizer().replace_json(value)


def row(**fields: Any) -> Any:
    """Return a source server of a list, as it is in a capture."""
    return replace({"count": 1, "source_servers": [fields]})["source_servers"][0]


def texts(value: Any) -> set[str]:
    """Return all texts in any JSON, and the keys of its objects."""
    match value:
        case dict():
            return set(value) | {text for item in value.values() for text in texts(item)}
        case list():
            return {text for item in value for text in texts(item)}
        case str():
            return {value}
    return set()


def shape(value: Any) -> Any:
    """Return the JSON with types in place of texts and numbers."""
    match value:
        case dict():
            return [shape(item) for item in value.values()]
        case list():
            return [shape(item) for item in value]
        case str():
            return "text"
        case bool() | None:
            return value
        case _ if value == 0:
            return value
    return type(value)


def capture(*exchanges: Exchange) -> Capture:
    return Capture(exporter="1.0.0", taken_at=NOW, region="cn-north-4", collectors=(), left_out=0, exchanges=exchanges)


def exchange(**fields: Any) -> Exchange:
    usual: dict[str, Any] = {
        "path": "/v3/sources",
        "query": {},
        "status": 200,
        "headers": {},
        "sent_after": 0.0,
        "seconds": 0.1,
        "body_bytes": 2,
        "body": {},
    }
    return Exchange(**(usual | fields))


def test_numbers_states_and_dates_are_kept() -> None:
    record = {
        "state": "replicate",
        "migration_cycle": "replicating",
        "os_type": "LINUX",
        "os_version": "UBUNTU_20_4_64BIT",
        "connected": True,
        "memory": 8_388_608,
        "totalsize": 123_456_789,
        "add_date": 1_700_000_000_000,
        "state_action_time": None,
        "current_task": {"migrate_speed": 12.5, "state": "RUNNING", "subtask_info": "MIGRATE_LINUX_FILE-42"},
        "checks": [{"name": "CPU", "result": "ERROR", "error_code": "SMS.0515"}],
    }
    assert row(**record) == record


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("name", "web-001"),
        ("ip", "10.0.0.1"),
        ("os_version", "acme internal build"),
        ("state", "waiting for acme"),
        ("log_share_url", "https://bucket.example.com/secret"),
        ("note", "anything"),
        ("enterprise_project_id", "acme"),
        ("state", "shop7"),
        ("state", "jdoe"),
        ("migration_cycle", "jdoe"),
        ("os_type", "ACME"),
        ("os_version", "ACMEPRODDB01"),
        ("os_version", "UBUNTU_ACME_64BIT"),
        ("start_type", "ACME"),
    ],
)
def test_a_text_that_is_not_known_to_be_harmless_is_replaced(field: str, text: str) -> None:
    assert text not in json.dumps(row(**{field: text}))


@pytest.mark.parametrize("state", [*SOURCE_STATES, "premiging"])
def test_every_state_is_kept_also_that_of_another_model_of_the_service(state: str) -> None:
    assert row(state=state) == {"state": state}


@pytest.mark.parametrize("state", TASK_STATES)
def test_every_task_state_is_kept(state: str) -> None:
    assert replace({"tasks": [{"state": state}]}) == {"tasks": [{"state": state}]}


@pytest.mark.parametrize(
    "record",
    [
        {"checks": [{"name": "ACMEPRODDB01"}]},
        {"checks": [{"result": "jdoe"}]},
        {"checks": [{"error_code": "Acme.12345"}]},
        {"current_task": {"type": "JDOE"}},
        {"current_task": {"state": "JDOE"}},
        {"current_task": {"log_collect_status": "JDOE"}},
        {"current_task": {"subtask_info": "ACMEPRODDB01-42"}},
        {"current_task": {"region_id": "acme-prod-1"}},
        {"current_task": {"clone_server": {"clone_state": "JDOE", "clone_error": "Acme.12345"}}},
        {"init_target_server": {"disks": [{"device_use": "OS|ACME", "physical_volumes": [{"file_system": "acmefs"}]}]}},
    ],
)
def test_a_word_that_is_not_documented_is_replaced(record: dict[str, Any]) -> None:
    assert not texts(row(**record)) & {text for text in texts(record) if text not in KNOWN_NAMES}


def test_a_result_without_documented_values_is_replaced() -> None:
    result = {"result_list": [{"check_result": "jdoe", "consistency_result": [{"num_total_files": 7}]}]}
    task = {
        "tasks": [{"network_check_info": {"evaluation_result": "jdoe"}, "special_config": [{"config_key": "jdoe"}]}]
    }

    assert "jdoe" not in json.dumps([replace(result), replace(task)])
    assert replace(result)["result_list"][0]["consistency_result"] == [{"num_total_files": 7}]


def test_the_same_undocumented_word_has_the_same_replacement() -> None:
    first, second, third = replace(
        {"source_servers": [{"state": "frozen"}, {"state": "melting"}, {"state": "frozen"}]}
    )["source_servers"]
    assert first == third
    assert first != second


@pytest.mark.parametrize(
    "os_version",
    ["WINDOWS2008_R2_64BIT", "WINDOWS2022_64BIT", "CENTOS_7_9_64BIT", "EULEROS_2_9_64BIT", "SUSE_12_SP5_64BIT"],
)
def test_the_version_of_a_known_operating_system_is_kept(os_version: str) -> None:
    assert row(os_version=os_version) == {"os_version": os_version}


def test_the_name_of_a_check_is_kept_and_that_of_a_server_is_not() -> None:
    kept = row(name="CPU", checks=[{"name": "CPU"}])

    assert kept["checks"] == [{"name": "CPU"}]
    assert kept["name"] != "CPU"


def test_a_harmless_field_in_an_unknown_object_is_replaced() -> None:
    assert row(owner={"state": "Bavaria", "type": "Company", "name": "Acme"})["owner"].keys() == {
        "state",
        "type",
        "name",
    }
    assert not texts(row(owner={"state": "Bavaria"})) & {"Bavaria"}
    assert row(owner={"os_type": "LINUX", "size": 20_261_126})["owner"] == {"os_type": "text-1", "size": 1}
    # Also below an object whose name is documented elsewhere.
    assert row(owner={"target_server": {"size": 20_261_126}})["owner"] == {"target_server": {"size": 1}}


@pytest.mark.parametrize(
    ("text", "form"),
    [
        (ID, r"00000000-0000-4000-8000-\d{12}"),
        ("0123456789abcdef0123456789abcdef", "0{20}[0-9a-f]{12}"),
        ("192.168.1.7", r"198\.19\.\d+\.\d+"),
        ("fd00::7", r"2001:db8::\w+"),
        ("any text", r"text-\d+"),
    ],
)
def test_a_replacement_has_the_form_of_what_it_replaces(text: str, form: str) -> None:
    assert re.fullmatch(form, row(name=text)["name"])


def test_the_same_value_has_the_same_replacement_in_all_answers() -> None:
    anonymizer = Anonymizer()
    servers = anonymizer.replace_json({"source_servers": [{"id": ID, "name": "web-1", "ip": "10.0.0.1"}]})
    failed = {"source_id": ID, "name": "web-1", "source_ip": "10.0.0.1"}
    errors = anonymizer.replace_json({"migration_errors": [failed]})
    query = anonymizer.replace_query({"migproject": ID, "limit": "200", "offset": "0"})
    path = anonymizer.replace_path(f"/v3/tasks/{ID}/consistency-result")

    (server,), (error,) = servers["source_servers"], errors["migration_errors"]
    assert [server["id"], server["name"], server["ip"]] == [error["source_id"], error["name"], error["source_ip"]]
    assert query == {"migproject": server["id"], "limit": "200", "offset": "0"}
    assert path == f"/v3/tasks/{server['id']}/consistency-result"


def test_different_values_have_different_replacements() -> None:
    servers = [{"name": f"web-{n}", "ip": f"10.0.{n // 250}.{n % 250}"} for n in range(500)]
    kept = replace({"source_servers": servers})

    assert len({server["name"] for server in kept["source_servers"]}) == 500
    assert len({server["ip"] for server in kept["source_servers"]}) == 500


def test_error_codes_and_actions_are_kept_in_texts_that_are_replaced() -> None:
    text = "SMS.0515: disk of web-7 changed, see SMS.0807; missing sms:server:listErrors for acme"

    assert re.fullmatch(r"SMS\.0515 SMS\.0807 sms:server:listErrors text-\d+", row(error_json=text)["error_json"])


def test_an_action_that_is_not_documented_is_not_kept_in_a_text() -> None:
    assert re.fullmatch(r"SMS\.1234 text-\d+", row(note="SMS.1234: sms:server:PRIVlist acme:corp:secret")["note"])


def test_json_as_text_keeps_its_documented_fields_and_error_codes() -> None:
    text = json.dumps({"error_code": "SMS.0515", "error_msg": "disk of web-7", "acme_db": ["web-7"], "progress": 7})
    kept = json.loads(row(error_json=text)["error_json"])

    assert kept["error_code"] == "SMS.0515"
    assert not {"web-7", "acme_db"} & texts(kept)
    assert {"error_code", "error_msg", "progress"} < kept.keys()


@pytest.mark.parametrize("value", [0, "0", "", None])
def test_the_default_project_is_kept_in_the_type_of_the_api(value: object) -> None:
    assert row(enterprise_project_id=value) == {"enterprise_project_id": value}


def test_numeric_ids_are_replaced_by_other_numbers() -> None:
    kept = row(checks=[{"id": 524_123}, {"id": 524_124}, {"id": 524_123}], domain_id=987_654)

    assert [check["id"] for check in kept["checks"]] == [1, 2, 1]
    assert kept["domain_id"] == 3


@pytest.mark.parametrize(
    "record",
    [
        {"name": 20_261_126_999},
        {"ip": 174_283_853},
        {"tenant": 5_544_332_211},
        {"account_ids": [123_456_789]},
        {"vpc_ids": [1_234_567_890_123]},
        {"phone": 13_800_138_000.0},
        {"tags": {"costcenter": 774_411}},
        {"current_task": {"name": 4455}},
        {"state": 4455},
        {"memory": [4455]},
    ],
)
def test_a_number_of_a_field_without_documented_numbers_is_replaced(record: dict[str, Any]) -> None:
    numbers = re.findall(r"\d{4,}", json.dumps(record))
    replaced = json.dumps(row(**record))

    assert [number for number in numbers if number in replaced] == []
    assert shape(row(**record)) == shape(record)


def test_numbers_of_details_are_kept() -> None:
    details = {
        "tasks": [
            {
                "priority": 1,
                "total_time": 3600,
                "total_cpu_usage": 1e-05,
                "network_check_info": {"loss_percentage": 0.123_456_789_012, "migration_speed": 912.5},
                "sub_tasks": [{"name": "CLONE_VM", "progress": 1e9, "start_date": 1_700_000_000_000}],
            }
        ]
    }
    assert replace(details) == details


def test_standard_devices_and_mount_points_are_kept_and_others_replaced() -> None:
    disk = {
        "name": "/dev/vda",
        "physical_volumes": [
            {"name": "/dev/vda1", "mount_point": "/", "file_system": "ext4", "device_use": "BOOT|OS"},
            {"name": "/dev/mapper/acme-db", "mount_point": "/acme", "uuid": "1234-abcd"},
            {"name": "C:", "mount_point": "C:"},
        ],
    }
    (kept,) = row(init_target_server={"disks": [disk]})["init_target_server"]["disks"]
    first, second, third = kept["physical_volumes"]

    assert first == disk["physical_volumes"][0]
    assert third == disk["physical_volumes"][2]
    assert "acme" not in json.dumps(second)
    assert second["uuid"] != "1234-abcd"


def test_the_name_of_an_unknown_field_is_kept_and_reported() -> None:
    anonymizer = Anonymizer()
    kept = anonymizer.replace_json({"source_servers": [{"new_field": True, "web-7": False}]})["source_servers"][0]

    assert kept["new_field"] is True
    assert set(anonymizer.unknown) == {"new_field"}
    assert "web-7" not in kept
    assert list(kept.values()) == [True, False]


def test_the_keys_of_an_unknown_object_are_replaced() -> None:
    tags = {"jdoe": "x", "prod_payroll": {"customer_visa": 1}, "name": "web-7"}
    kept = row(tags=tags, labels=[{"jdoe": 1}])

    assert kept.keys() == {"tags", "labels"}
    assert not texts(kept) & {"jdoe", "prod_payroll", "customer_visa", "web-7"}
    assert shape(kept) == shape({"tags": tags, "labels": [{"jdoe": 1}]})


@pytest.mark.parametrize(
    "body",
    [
        {"migprojects": {"acme_prod_db": "x"}},
        {"source_servers": [[{"acme_prod_db": "x"}]]},
        {"source_servers": [{"current_task": [{"acme_prod_db": "x"}]}]},
        [{"acme_prod_db": "x"}],
    ],
)
def test_the_keys_of_an_object_in_an_unexpected_place_are_replaced(body: Any) -> None:
    assert "acme_prod_db" not in json.dumps(replace(body))


def test_the_name_of_a_server_is_no_name_of_a_field() -> None:
    anonymizer = Anonymizer()
    anonymizer.replace_json({"source_servers": [{"name": "shop"}]})

    assert "shop" not in anonymizer.replace_json({"shop": 1})


def test_every_field_of_the_reference_is_known() -> None:
    for name in ("reference-fields.txt", "reference-fields-of-details.txt"):
        for line in (DATA / name).read_text().splitlines():
            if line and not line.startswith("#"):
                assert set(line.replace("[]", "").split(".")[1:]) <= KNOWN_NAMES
                containers = line.rpartition("/")[2].split(".")[:-1]
                lists = {"errors[]", "task_details[]", "projects[]", "consistency[]"}
                assert set(containers) - lists <= DOCUMENTED_OBJECTS


def test_the_example_of_the_reference_loses_its_private_texts_only() -> None:
    original = example()
    kept = replace(original)

    assert shape(kept) == shape(original)
    lost = texts(original) - texts(kept)
    assert {server["name"] for server in original["source_servers"]} <= lost
    assert {server["ip"] for server in original["source_servers"]} <= lost
    assert not lost & {*SOURCE_STATES, "LINUX", "WINDOWS", "MIGRATE_FILE"}


@given(JSON)
def test_of_any_json_only_harmless_texts_remain_in_the_same_shape(value: Any) -> None:
    anonymizer = Anonymizer()
    kept = anonymizer.replace_json(value)
    allowed = {text for counts in anonymizer.kept.values() for text in counts}

    assert shape(kept) == shape(value)
    for text in texts(value) & texts(kept):
        assert text in allowed or text in KNOWN_NAMES or text in anonymizer.unknown or text.startswith(("{", "["))


def test_a_value_that_is_too_deep_is_left_out() -> None:
    value: Any = "private"
    for _ in range(MAX_DEPTH + 10):
        value = [value]

    assert "private" not in json.dumps(replace(value))


def test_only_harmless_headers_with_harmless_values_are_kept() -> None:
    headers = {
        "Content-Type": "application/json; charset=utf-8",
        "Date": "Fri, 15 Jan 2027 08:00:00 GMT",
        "Retry-After": "30",
        "Server": "api-gateway",
        "X-Ratelimit-Api": "remain:99,limit:100,time:1 minute",
        "X-Request-Id": "0b0a7c1e",
        "Set-Cookie": "session=secret",
        "X-Ratelimit-User": "user:acme",
    }
    assert set(keep_headers(headers)) == {"content-type", "date", "retry-after", "server", "x-ratelimit-api"}


@pytest.mark.parametrize("text", ["", "true", "False", "null"])
def test_empty_texts_and_booleans_as_text_are_kept_everywhere(text: str) -> None:
    assert is_harmless("any", "field", text)


def test_a_capture_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = capture(exchange(body={"count": 1.0, "rows": [None, 0, "x"]}), exchange(status=0, body_bytes=0))
    write_capture(tmp_path / "capture.json", encode_capture(written))

    assert read_capture(tmp_path / "capture.json") == written
    assert stat.S_IMODE((tmp_path / "capture.json").stat().st_mode) == 0o600


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "file").write_text("mine")

    for name in ("link", "file"):
        with pytest.raises(FileExistsError):
            write_capture(tmp_path / name, b"{}")
    assert (tmp_path / "file").read_text() == "mine"
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is not the JSON of a capture"),
        (b"\xff\xfe", "it is not the JSON of a capture"),
        (b"[]", "it is not the JSON of a capture"),
        (b"[" * 100_000, "it is not the JSON of a capture"),
        (b'{"count": 1}', "it is not a capture"),
        (encode_capture(capture()).replace(b'"version": 1', b'"version": 9'), "it has the version 9"),
        (encode_capture(capture()).replace(b'"exchanges"', b'"exchange"'), "it is damaged: .*exchanges"),
        (encode_capture(capture(exchange())).replace(b"200", b'"x"'), "it is damaged: .*status"),
        (encode_capture(capture(exchange())).replace(b"200", b"9999"), "it is damaged: .*status"),
        (encode_capture(capture(exchange())).replace(b"/v3/sources", b"/v3/\xff"), "it is damaged: .*decode byte 0xff"),
        (encode_capture(capture(exchange()))[:-40], "it is not the JSON of a capture"),
        (encode_capture(capture(exchange(seconds=-1.0))), "it is damaged: .*seconds"),
        (encode_capture(capture()), "cannot be replayed: it has no answer to GET /v3/sources"),
        (
            encode_capture(capture(exchange(path="/v3/errors"))),
            "cannot be replayed: it has no answer to GET /v3/sources",
        ),
        (encode_capture(capture(exchange(status=100))), r"the status 100 in \$\.exchanges\[0\] is not 0"),
        (encode_capture(capture(exchange(status=204))), "an answer with the status 204 has no body"),
        (
            encode_capture(capture(exchange(), exchange(path="/control/faults"))),
            r"the path '/control/faults' in \$\.exchanges\[1\] does not start with /v3/",
        ),
    ],
)
def test_another_file_is_refused_with_the_reason(content: bytes, message: str) -> None:
    with pytest.raises(BadCapture, match=message):
        decode_capture(content)


def test_an_answer_without_a_body_can_be_replayed() -> None:
    written = capture(exchange(status=204, body_bytes=0, body=UNSET), exchange(status=0, body_bytes=0, body=UNSET))

    assert decode_capture(encode_capture(written)) == written


@pytest.mark.parametrize(
    ("exchanges", "left_out", "lines"),
    [
        (1, 0, ["The capture has 1 answer and 7 bytes.", ""]),
        (2, 1, ["The capture has 2 answers and 7 bytes.", "Left out, because of the limits of a capture: 1 answer."]),
        (2, 5, ["The capture has 2 answers and 7 bytes.", "Left out, because of the limits of a capture: 5 answers."]),
    ],
)
def test_the_numbers_of_answers_are_described_in_singular_or_plural(
    exchanges: int, left_out: int, lines: list[str]
) -> None:
    described = msgspec.structs.replace(capture(*[exchange()] * exchanges), left_out=left_out)

    assert list(describe(described, 7, Anonymizer()))[:2] == lines


def request() -> Request:

    return Request("GET", URL("http://127.0.0.1/v3/sources?limit=200&offset=0"))


@pytest.mark.parametrize(
    "value", [rb'"\ud800x"', b'"\xffx"', b"1e999", b"NaN", b"1" + b"0" * 5000, b"1" + b"0" * 40], ids=repr
)
def test_a_page_with_a_value_that_cannot_be_written_is_captured_with_the_records_around_it(
    value: bytes, clock: FakeClock
) -> None:
    body = (
        b'{"count":2,"source_servers":[{"id":"a","state":"error","name":%b,"\\ud800":1},{"id":"b","state":"stopped"}]}'
    )
    recorder = Recorder(clock)
    recorder.request_ended("sms", request(), "200", 0.1, Response(200, {}, body % value))
    (account,) = Settings.model_validate({"api": {"endpoint": "http://127.0.0.1"}}).targets()
    written = encode_capture(build_capture(recorder, account, (), NOW, Anonymizer()))

    (page,) = decode_capture(written).exchanges
    assert isinstance(page.body, dict)
    assert [server["state"] for server in page.body["source_servers"]] == ["error", "stopped"]
    assert value not in written


def test_the_number_of_recorded_answers_is_bounded(clock: FakeClock) -> None:
    recorder = Recorder(clock)
    for _ in range(MAX_EXCHANGES + 5):
        recorder.request_ended("sms", request(), "200", 0.1, Response(200, {}, b"{}"))

    assert (len(recorder.answers), recorder.left_out) == (MAX_EXCHANGES, 5)


def test_the_size_of_recorded_answers_is_bounded(clock: FakeClock) -> None:
    recorder = Recorder(clock)
    body = bytes(MAX_BODY_BYTES // 2 + 1)
    for _ in range(3):
        recorder.request_ended("sms", request(), "200", 0.1, Response(200, {}, body))

    assert (len(recorder.answers), recorder.left_out) == (1, 2)


def test_answers_of_iam_and_of_the_metadata_service_are_not_recorded(clock: FakeClock) -> None:
    recorder = Recorder(clock)
    recorder.request_ended("iam", request(), "201", 0.1, Response(201, {"X-Subject-Token": "secret"}, b"{}"))
    recorder.request_ended("metadata", request(), "200", 0.1, Response(200, {}, b"{}"))

    assert recorder.answers == []
