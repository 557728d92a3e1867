"""A browser's page of another origin calls through larder: CORS, cookies, live events, WebSocket.
Larder and the page's server are two ports of localhost: two origins, and one site for cookies."""
import json
import tempfile

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from test_caching import config

ALL = {"name": "all", "match": "GET /*", "ttl": "1h"}
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--no-proxy-server"]

# What a page says: every promise ends in done(value), or in done({failed: text}).
FETCH = """
const [url, init, done] = arguments;
fetch(url, init).then(async answer => {
  const text = await answer.text();
  done({status: answer.status, body: text, cache_status: answer.headers.get("Cache-Status"),
        url: answer.url, redirected: answer.redirected});
}).catch(error => done({failed: String(error)}));
"""
LISTEN = """
const [url, done] = arguments;
window.told = [];
window.waiting = done;
const tell = event => {
  window.told.push([event.type, event.data]);
  if (window.waiting) { window.waiting(window.told); window.waiting = null; }
};
const source = new EventSource(url);
source.addEventListener("message", tell);
source.addEventListener("last", event => { source.close(); tell(event); });
source.addEventListener("error", event => { if (!window.told.length) tell(event); });
"""
HEAR = """
const [count, done] = arguments;
if (window.told.length >= count) done(window.told); else window.waiting = done;
"""
TALK = """
const [url, messages, done] = arguments;
const socket = new WebSocket(url, ["chat"]), heard = [];
socket.binaryType = "arraybuffer";
socket.onopen = () => { heard.push(socket.protocol); socket.send(messages[0]); };
socket.onmessage = event => {
  heard.push(event.data);
  socket.send(heard.length <= messages.length ? messages[heard.length - 1] : "end");
};
socket.onclose = event => done({heard, code: event.code});
"""


@pytest.fixture(scope="module")
def browser():
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for flag in [*FLAGS, f"--user-data-dir={directory}"]:
            options.add_argument(flag)
        driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        driver.set_script_timeout(15)
        yield driver
        driver.quit()


@pytest.fixture
def app(desk_fastapi_process):
    desk_fastapi_process.reset()
    return desk_fastapi_process


@pytest.fixture
def larder(larder_factory, app):
    larder = larder_factory(config(app, ALL))
    larder.url = f"http://localhost:{larder.public_port}"
    return larder


@pytest.fixture
def page(browser, app):
    """A page of localhost, without cookies; what it has cached is of other ports."""
    browser.get(f"http://localhost:{app.port}/page")
    browser.delete_all_cookies()
    return browser


def fetch(page, url, **init):
    return page.execute_async_script(FETCH, url, init)


def test_a_page_reads_a_cached_answer_and_the_second_is_a_hit(page, larder, app):
    """The second is conditional: the browser has kept the first, with larder's ETag."""
    url = larder.url + "/api/courses?organization_id=1"
    first, second = fetch(page, url), fetch(page, url)
    assert first["status"] == second["status"] == 200
    assert "fwd=uri-miss" in first["cache_status"]
    assert second["cache_status"].startswith("larder; hit")
    assert first["body"] == second["body"] and app.count("courses") == 1
    anew = fetch(page, url, cache="reload")
    assert anew["cache_status"].startswith("larder; hit") and anew["body"] == first["body"]
    assert larder.stats()["routes"]["all"]["not_modified"] == 1


def test_what_the_app_refuses_to_a_foreign_origin_stays_refused(page, larder, app):
    """Also where another origin's answer is in the cache."""
    url = larder.url + "/api/courses?organization_id=1"
    assert fetch(page, url)["status"] == 200
    page.get(f"http://127.0.0.1:{app.port}/page")
    assert "Failed to fetch" in fetch(page, url)["failed"]


def test_a_page_may_read_what_was_stored_for_a_client_without_an_origin(page, larder, app):
    """A warm job, curl and a server send no Origin; the app's answer to them allows none, and
    Starlette says Vary: Origin only in answers that allow one."""
    path = "/api/courses?organization_id=1"
    assert larder.request("GET", path).status == 200
    assert fetch(page, f"http://localhost:{app.port}{path}")["status"] == 200
    assert fetch(page, larder.url + path).get("status") == 200


def test_a_client_without_an_origin_does_not_spoil_the_pages_answer(page, larder, app):
    """The page's came first, with Vary: Origin; then one without either."""
    path = "/api/courses?organization_id=1"
    assert fetch(page, larder.url + path)["status"] == 200
    assert larder.request("GET", path).status == 200
    assert fetch(page, larder.url + path, cache="reload").get("status") == 200


def test_a_login_with_credentials_is_the_pages_own(page, larder, app):
    who = larder.url + "/me"
    assert json.loads(fetch(page, who, credentials="include")["body"]) == {"user": None}
    login = fetch(page, larder.url + "/login", method="POST", credentials="include",
                  headers={"Content-Type": "application/x-www-form-urlencoded"},
                  body="user=ann&password=right")
    assert (login["status"], login["redirected"], login["url"]) == (200, True, who)
    assert json.loads(login["body"]) == {"user": "ann"}
    for _ in range(2):
        assert json.loads(fetch(page, who, credentials="include")["body"]) == {"user": "ann"}
        assert json.loads(fetch(page, who, credentials="omit")["body"]) == {"user": None}


def test_a_preflighted_put_of_json_reaches_the_app(page, larder, app):
    answer = fetch(page, larder.url + "/api/courses", method="PUT", body='{"a": "ä"}',
                   headers={"Content-Type": "application/json", "X-Asked": "yes"})
    assert answer["status"] == 200
    assert json.loads(answer["body"]) == {"put": {"a": "ä"}, "asked": "yes"}
    assert app.count("put") == 1
    lines = larder.access_lines(2)
    assert {line["http.request.method"] for line in lines} == {"OPTIONS", "PUT"}
    refused = fetch(page, larder.url + "/api/courses", method="DELETE")
    assert "Failed to fetch" in refused["failed"], "the preflight names no DELETE"


def test_an_event_source_hears_each_event_when_it_is_sent(page, larder, app):
    told = page.execute_async_script(LISTEN, larder.url + "/events/browser")
    assert told == [["message", "1"]]
    app.hold("browser").open()  # only now the app goes on
    told = page.execute_async_script(HEAR, 2)
    assert told == [["message", "1"], ["last", "2"]]


def test_a_websocket_of_a_page_talks_through_larder(page, larder, app):
    talk = [f"ws://localhost:{app.port}/ws", larder.url.replace("http", "ws") + "/ws"]
    messages = ["hello", "käse", "l" * 100_000]
    direct, through = (page.execute_async_script(TALK, url, messages) for url in talk)
    assert direct == {"heard": ["chat", *["echo " + m for m in messages]], "code": 4001}
    assert through == direct
