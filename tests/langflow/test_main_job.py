"""The main job with a real LangFlow: what a user does, from the command line to the rows."""

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest

from tests.cli.command_line import cli_in
from tests.conftest import new_database, settings_in
from tests.langflow.server import LangflowServer
from tests.langflow.user import User
from tests.system.fleet import fleet_of
from tests.system.history import violations

pytestmark = [pytest.mark.langflow, pytest.mark.timeout(900)]

SOON = timedelta(seconds=2)


@pytest.fixture(scope="module")
def household(
    langflow_server: LangflowServer,
    postgres_server_url: str,
    migrated_template: str,
    redis_server_url: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[User]:
    """One beat and one worker for all tests, with LangFlow as a synced source."""
    folder = tmp_path_factory.mktemp("user")
    with (
        pytest.MonkeyPatch.context() as patch,
        new_database(postgres_server_url, template=migrated_template) as database_url,
        settings_in(
            patch,
            DATABASE_URL=database_url,
            # Other tests empty the first database of this Redis.
            REDIS_URL=urlunsplit(urlsplit(redis_server_url)._replace(path="/1")),
            AUTOMAGIK_HOME=str(folder / "home"),
            AUTOMAGIK_RUN_TIMEOUT_SECONDS="60",
            # LangFlow takes all of a small machine for seconds when it starts.
            AUTOMAGIK_LEASE_SECONDS="15",
        ) as settings,
        fleet_of(settings, folder / "logs", afresh=True) as fleet,
    ):
        user = User(cli=cli_in(folder, patch), fleet=fleet, langflow=langflow_server)
        key = langflow_server.api_key
        added = user.cli("sources", "add", "lab", langflow_server.url, "--api-key-stdin", input=key)
        assert added.exit_code == 0, added.stderr
        user.done("flows", "sync")
        fleet.beat()
        fleet.worker()
        yield user


@pytest.fixture
def user(household: User) -> Iterator[User]:
    """At the end of every test, every promise must have been kept."""
    yield household
    assert violations(household.fleet.database) == []


def test_a_run_from_the_shell(user: User) -> None:
    """The words of the README, in a process of their own."""
    command = (sys.executable, "-m", "automagik", "flows", "run", "echo", "--input", "hi", "--wait")
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.strip() == "hi"
    task = user.show()
    assert (task["state"], task["flow_name"], task["source_name"]) == ("completed", "Echo", "lab")
    assert "HTTP 200" in user.done("tasks", "logs", task["id"])
    assert user.done("tasks", "output", task["id"]) == "hi"


@pytest.mark.parametrize(
    ("flow", "text", "tweaks", "output"),
    [
        ("text-only", "hey", (), "hey"),
        ("webhook-in", '{"event": "push"}', (), "webhook received 1 keys: event; event=push"),
        (
            "prompt-template",
            "Ana",
            ("Prompt-main1.greeting=Bom dia",),
            "Bom dia, Ana! You asked for a report in English.",
        ),
    ],
)
def test_input_and_tweaks_reach_the_flow(
    user: User, flow: str, text: str, tweaks: tuple[str, ...], output: str
) -> None:
    options = [word for tweak in tweaks for word in ("--tweak", tweak)]
    assert user.run(flow, "--input", text, *options) == output


def test_structured_output_stays_json(user: User) -> None:
    shown = user.run("json-output", "--input", "one two")
    found = json.loads(shown.removeprefix("```json").removesuffix("```"))
    assert found["words"] == 2
    assert found["nested"] == {"ok": True}


def test_a_large_output_is_kept_whole(user: User) -> None:
    output = user.run("big-output", "--tweak", "Big Output.size=1048576")
    assert len(output) == 1_048_576
    assert user.done("tasks", "output", "@last") == output


def test_a_flow_without_output_completes(user: User) -> None:
    result = user.cli("flows", "run", "no-output", "--input", "hi", "--wait")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "without a text" in result.stderr
    assert user.show()["state"] == "completed"


def test_input_and_output_are_chosen_on_the_command_line(user: User) -> None:
    with user.copy_of("many-io") as flow:
        user.done("flows", "sync", flow["name"])
        refused = user.cli("flows", "run", flow["name"], "--input", "cats")
        assert refused.exit_code == 2
        assert "--input-component" in refused.stderr
        chosen = ("--input-component", "TextInput-topic", "--output-component", "TextOutput-raw")
        user.done("flows", "sync", flow["name"], *chosen)
        output = user.run(flow["name"], "--input", "cats")
    assert output == "Q: \nTopic: cats\nStyle: plain"


def test_runs_share_a_memory_only_when_asked(user: User) -> None:
    session = f"shared-{uuid4()}"
    apart = [user.run("session-memory", "--input", "hi") for _ in range(2)]
    together = [user.run("session-memory", "--input", "hi", "--session", session) for _ in range(2)]
    assert [answer.partition(" of ")[0] for answer in apart] == ["message 1", "message 1"]
    assert together == [f"message {number} of session {session}: hi" for number in (1, 2)]


def test_an_interval_and_a_cron_run_and_stop(user: User) -> None:
    user.done("schedules", "create", "echo", "--every", "1s", "--name", "often", "--input", "tick")
    cron = ("--cron", "*/2 * * * * *", "--timezone", "Asia/Tokyo", "--name", "even")
    user.done("schedules", "create", "echo", *cron, "--input", "tock")
    user.wait_for_completed("often", 2)
    user.wait_for_completed("even", 2)
    listed = user.cli("tasks", "list", "--schedule", "even", "-o", "json").items
    instants = [datetime.fromisoformat(task["scheduled_for"]) for task in listed]
    assert [(at.second % 2, at.microsecond) for at in instants] == [(0, 0)] * len(instants)
    finished = next(task for task in listed if task["state"] == "completed")
    assert user.done("tasks", "output", finished["id"]) == "tock"
    for name in ("often", "even"):
        user.done("schedules", "pause", name)
        user.done("schedules", "delete", name, "--yes")


def test_a_oneshot_runs_once_on_time(user: User) -> None:
    at = datetime.now(UTC).replace(microsecond=0) + SOON
    user.done("schedules", "create", "echo", "--at", at.isoformat(), "--name", "once")
    user.wait_for_completed("once", 1)
    shown = user.cli("schedules", "show", "once", "-o", "json").json
    assert (shown["status"], shown["next_runs"]) == ("completed", [])
    [task] = shown["recent_tasks"]
    assert datetime.fromisoformat(task["scheduled_for"]) == at
    assert datetime.fromisoformat(task["created_at"]) - at < SOON


def test_a_failing_flow_is_tried_again_and_given_up(user: User) -> None:
    tweak = ("--tweak", "Fail.message=told you")
    result = user.cli("flows", "run", "failing", *tweak, "--max-retries", "1", "--wait")
    assert result.exit_code == 1
    assert "told you" in result.stderr
    task = user.show()
    assert (task["state"], task["error_code"]) == ("failed", "AM-SRC-RUN")
    assert [attempt["outcome"] for attempt in task["attempts"]] == ["failed", "failed"]
    assert user.cli("tasks", "output", task["id"]).exit_code == 1
    said = user.cli("tasks", "logs", task["id"], "-o", "json").items
    verdicts = [line for line in said if line["message"].startswith("Error running graph")]
    assert len(verdicts) == 2, "one for each attempt"


def test_a_flaky_flow_completes_on_its_third_attempt(user: User) -> None:
    output = user.run("flaky", "--input", "at last", "--tweak", f"Flaky.key={uuid4()}")
    assert output == "succeeded on attempt 3: at last"
    outcomes = [attempt["outcome"] for attempt in user.show()["attempts"]]
    assert outcomes == ["failed", "failed", "completed"]


def test_cancelling_stops_the_run_on_the_server(user: User) -> None:
    """When a later run of the same length has answered, the cancelled one never will."""
    slow = ("slow", "--input", "zzz", "--tweak", "Sleep.seconds=2")
    task_id = user.start(*slow)
    user.fleet.wait_until(
        lambda: user.senders(task_id) == ["User"], seconds=30, what="LangFlow has begun"
    )
    user.done("tasks", "cancel", task_id, "--note", "changed my mind")
    told = "SELECT at FROM task_logs WHERE task_id = :id AND message = 'broken off: cancelled'"
    broken_off = user.fleet.wait_for(told, id=task_id)
    task = user.show(task_id)
    assert (task["state"], task["state_reason"]) == ("cancelled", "changed my mind")
    assert broken_off - datetime.fromisoformat(task["finished_at"]) < SOON

    user.run(*slow)
    later = user.show()["id"]
    user.fleet.wait_until(
        lambda: user.senders(later) == ["Machine", "User"], seconds=10, what="its answer is stored"
    )
    assert user.senders(task_id) == ["User"]


def test_a_run_survives_the_death_of_langflow(user: User) -> None:
    """One flow kills LangFlow's worker process, which comes back; the other flow is run again."""
    task_id = user.start("slow", "--tweak", "Sleep.seconds=3", "--max-retries", "9")
    user.fleet.wait_until(
        lambda: user.senders(task_id) == ["User"], seconds=30, what="LangFlow has begun"
    )
    killer = ("crash", "--tweak", "Crash.really=true", "--max-retries", "0", "--wait")
    assert user.cli("flows", "run", *killer).exit_code == 1
    user.wait_for_state(task_id, "completed", seconds=120)
    first_attempt, *_, last_attempt = user.show(task_id)["attempts"]
    assert first_attempt["error_code"] in ("AM-SRC-STREAM", "AM-SRC-UNREACHABLE")
    assert last_attempt["outcome"] == "completed"


def test_a_changed_flow_is_a_new_version_and_tasks_name_theirs(user: User) -> None:
    with user.copy_of("prompt-template") as flow:
        user.done("flows", "sync", flow["name"])
        before = user.run(flow["name"], "--input", "Ana")
        old_task = user.show()
        text = json.dumps(flow["data"]).replace("You asked for", "You wanted")
        user.ask("PATCH", f"flows/{flow['id']}", json={"data": json.loads(text)})
        synced = user.cli("flows", "sync", flow["name"], "-o", "json").items
        after = user.run(flow["name"], "--input", "Ana")
        new_task = user.show()
    assert [(item["change"], item["what"]) for item in synced] == [("updated", ["definition"])]
    assert "You asked for" in before
    assert "You wanted" in after
    assert (old_task["flow_version"], new_task["flow_version"]) == (1, 2)
    assert user.show(old_task["id"])["flow_version"] == 1


def test_a_deleted_flow_is_marked_and_its_history_stays(user: User) -> None:
    with user.copy_of("echo") as flow:
        user.done("flows", "sync", flow["name"])
        user.run(flow["name"], "--input", "still here")
        user.ask("DELETE", f"flows/{flow['id']}")
        synced = user.cli("flows", "sync", "-o", "json").items
    [change] = [item["change"] for item in synced if item["name"] == flow["name"]]
    assert change == "gone"
    assert user.cli("flows", "show", flow["name"], "-o", "json").json["status"] == "gone"
    [task] = user.cli("tasks", "list", "--flow", flow["name"], "-o", "json").items
    assert user.done("tasks", "output", task["id"]) == "still here"
    user.done("flows", "delete", flow["name"], "--yes")


def test_all_is_well(user: User) -> None:
    """With a busy beat and worker; the key is shown nowhere."""
    said = user.done("status") + user.done("doctor") + user.done("sources", "test", "lab")
    assert "LangFlow 1." in said
    assert user.langflow.api_key not in said + user.fleet.logs()
