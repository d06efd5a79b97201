"""The technician's pages, as a new technician would use them."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from e2e.technician_box import Box

# WCAG 2: text against what is behind it, at least 4.5 : 1 (3 : 1 when it is large).
CONTRAST = """() => {
  const rgb = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return {c: m.slice(0, 3), a: m.length > 3 ? m[3] : 1}; };
  const light = (c) => { const [r, g, b] = c.map((v) => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; });
    return .2126 * r + .7152 * g + .0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const b = rgb(getComputedStyle(e).backgroundColor); if (b.a > .9) return b.c; }
    return [255, 255, 255]; };
  const weak = [];
  for (const e of document.querySelectorAll("body *")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility({visibilityProperty: true}) || e.closest("svg, button:disabled, .skip, option")) continue;
    const s = getComputedStyle(e), a = light(rgb(s.color).c), b = light(behind(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05), px = parseFloat(s.fontSize);
    if (ratio < (px >= 24 || (px >= 18.6 && s.fontWeight >= 700) ? 3 : 4.5)) weak.push(`${e.tagName} ${e.textContent.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return weak;
}"""
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, img, [role=button]")].filter((e) =>
  !(e.getAttribute("aria-label") || e.textContent.trim() || e.labels?.length || e.hasAttribute("alt") || e.querySelector("img[alt]:not([alt=''])") || e.type === "hidden"))
  .map((e) => e.outerHTML.slice(0, 80))"""
WIDE = "() => document.documentElement.scrollWidth - innerWidth"
SMALL_TARGETS = """() => [...document.querySelectorAll("button, nav a, .button, input:not([type=hidden]), select")]
  .filter((e) => e.checkVisibility() && e.getBoundingClientRect().height < 24).map((e) => e.outerHTML.slice(0, 60))"""


def eventually(question: Any, timeout_s: float = 90.0) -> Any:
    until_s = time.monotonic() + timeout_s
    while not (answer := _asked(question)):
        assert time.monotonic() < until_s, f"not within {timeout_s} s"
        time.sleep(0.3)
    return answer


def _asked(question: Any) -> Any:
    """Its answer; None while the page makes way for the next one."""
    try:
        return question()
    except Exception as error:
        if "Execution context was destroyed" not in str(error):
            raise
        return None


def live_picture(page: Any) -> Any:
    """The mean colour of a square of the live picture as it is shown: (x, y) in shares, size in shares."""
    return page.evaluate(
        """([x, y]) => { const i = document.querySelector("img[data-live-src]"), c = document.createElement("canvas");
        c.width = i.naturalWidth; c.height = i.naturalHeight; const g = c.getContext("2d"); g.drawImage(i, 0, 0);
        const d = g.getImageData(x * c.width - 6, y * c.height - 6, 12, 12).data; let s = 0;
        for (let k = 0; k < d.length; k += 4) { s += d[k] + d[k + 1] + d[k + 2]; } return s / d.length * 4 / 3; }""",
        [0.3, 0.3],
    )


def draw(page: Any, corners: list[tuple[float, float]]) -> None:
    """Tap the corners on the picture, as the finger does."""
    area = page.locator("#shapes").bounding_box()
    for x, y in corners:
        page.mouse.click(area["x"] + x * area["width"], area["y"] + y * area["height"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_overview_on_a_phone_says_how_the_box_is_and_shows_it_live(logged_in: Any, scheme: str) -> None:
    began_s = time.monotonic()
    sight = logged_in(color_scheme=scheme)
    page = sight.page
    page.wait_for_selector(".state strong")
    print(f"from the login form to a verdict: {time.monotonic() - began_s:.1f} s")
    assert re.search("Guarding", page.inner_text(".state"))
    first = page.wait_for_selector("img[data-live-src][src^=blob]").get_attribute("src")
    page.wait_for_function("(was) => document.querySelector('img[data-live-src]').src !== was", arg=first)
    print(f"from the login form to a second live picture: {time.monotonic() - began_s:.1f} s")
    assert page.evaluate("() => document.querySelector('img[data-live-src]').naturalWidth") >= 640
    facts = page.inner_text(".facts")
    assert "frames/s" in facts
    assert "inference" in facts
    dark = page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(14, 17, 20)"
    assert dark == (scheme == "dark")
    for words in ("Try it", "Mail", "Incidents", "Seen, but not told", "Checks", "This box"):
        assert page.locator("h2", has_text=words).count() == 1
    assert page.evaluate(WIDE) <= 0
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(SMALL_TARGETS) == []
    sight.shoot(f"page-{scheme}")


@pytest.mark.parametrize("path", ["/zones", "/walk-test", "/incident"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_a_phone_has_names_and_contrast(logged_in: Any, box: Box, path: str, scheme: str) -> None:
    if path == "/incident":  # one with all its pictures, a wide one among them
        with_all = eventually(lambda: [i for i in box.told("/incidents")["incidents"] if "sheet" in i["pictures"]])
        path += f"/{with_all[0]['id']}"
    sight = logged_in(path, color_scheme=scheme)
    page = sight.page
    page.wait_for_load_state("networkidle") if path != "/zones" else page.wait_for_selector("img[src^=blob]")
    sight.shoot(f"{path.split('/')[1]}-{scheme}", full=True)
    assert page.evaluate(WIDE) <= 0
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate(NAMELESS) == []
    assert page.evaluate(SMALL_TARGETS) == []


@pytest.mark.parametrize("width", [320, 360])
@pytest.mark.parametrize("path", ["/", "/zones", "/walk-test"])
def test_every_page_fits_a_small_phone(logged_in: Any, path: str, width: int) -> None:
    page = logged_in(path, viewport={"width": width, "height": 568}).page
    page.wait_for_selector("img[src^=blob]" if path != "/walk-test" else "#rules li")
    assert page.evaluate(WIDE) <= 0


def test_who_draws_on_an_old_picture_is_told_so(logged_in: Any) -> None:
    sight = logged_in("/zones")
    page = sight.page
    page.wait_for_selector("#drawing img[src^=blob]")
    answer = {"status": 503, "json": {"error": 'camera "lobby": no new picture for 6 s', "hint": ""}}
    page.route("**/live/**", lambda route: route.fulfill(**answer))
    page.get_by_text("What you see is old. camera").wait_for()
    assert page.locator("#drawing img").is_visible()
    page.reload()  # now there is not even an old one
    page.get_by_text('camera "lobby": no new picture for 6 s', exact=True).wait_for()
    page.unroute("**/live/**")
    page.locator("#drawing .note").wait_for(state="hidden")
    sight.said.clear()  # the browser complains of each of those answers


def test_without_the_token_there_is_the_verdict_and_neither_picture_nor_control(sight: Any, box: Box) -> None:
    page = sight().page
    page.goto(box.url)
    assert "Guarding" in page.inner_text(".state")
    assert page.locator("img[data-live-src]").count() == 0
    assert page.locator("form[data-act]").count() == 0
    assert box.ask("GET", "/live/lobby.jpg", token="").status_code == 401
    assert box.ask("GET", "/acts", token="").status_code == 401
    page.goto(f"{box.url}/zones")
    assert page.url.startswith(f"{box.url}/login")


def test_a_wrong_token_is_refused_in_words(sight: Any, box: Box) -> None:
    found = sight()
    page = found.page
    page.goto(f"{box.url}/login")
    page.fill("[name=token]", "aaaaa-bbbbb-ccccc-ddddd-eeeee-f")
    page.keyboard.press("Enter")
    page.wait_for_selector("[role=alert]")
    assert "not the token of this box" in page.inner_text("[role=alert]")
    assert box.ask("GET", "/live/lobby.jpg", token="wrong").status_code == 401
    found.said.clear()  # the browser notes the 401 that was asked for


def test_without_javascript_everything_can_be_read(sight: Any, box: Box) -> None:
    page = sight(java_script_enabled=False).page
    page.goto(f"{box.url}/login")
    page.fill("[name=token]", box.token)
    page.locator("button").first.click()
    page.wait_for_url(f"{box.url}/")
    assert "Guarding" in page.inner_text(".state")
    assert "Picture age lobby" in page.inner_text("main")
    assert "Acts need JavaScript" in page.inner_text("main")
    image = page.locator("img[alt^='Live picture']")
    image.wait_for()
    assert image.get_attribute("src") == "/live/lobby.jpg"
    assert page.locator("noscript meta[http-equiv=refresh]").count() == 1


def test_a_test_mail_is_seen_to_arrive_and_a_refusal_is_shown_in_the_server_s_words(logged_in: Any, box: Box) -> None:
    page = logged_in().page
    before = len(box.mailbox.mails)
    began_s = time.monotonic()
    page.get_by_role("button", name="Send a test mail").click()
    page.get_by_text("\u2713 Delivered").wait_for()
    print(f"from the click to a delivered test mail: {time.monotonic() - began_s:.1f} s")
    assert any(m.message["Subject"].startswith("Test mail") for m in box.mailbox.mails[before:])
    box.mailbox.answers["security-desk@bank.example"] = "550 5.1.1 no such desk here"
    try:
        page.get_by_role("button", name="Send a test mail").click()
        page.get_by_text("\u2715 Not sent").wait_for()
        assert "no such desk here" in page.inner_text("form[data-act=test-mail] output")
    finally:
        box.mailbox.answers.clear()


def test_a_zone_drawn_by_touch_works_without_a_restart(logged_in: Any, box: Box) -> None:
    began_s = time.monotonic()
    sight = logged_in("/zones", has_touch=True)
    page = sight.page
    page.wait_for_selector("img[src^=blob]")
    page.get_by_role("button", name="New").click()
    draw(page, [(0.05, 0.35), (0.95, 0.35), (0.95, 0.98), (0.05, 0.98)])
    page.fill("#name", "whole-floor")
    sight.shoot("zones")
    picture, label = page.locator("#shapes").bounding_box(), page.locator("#shapes text").bounding_box()
    assert picture["x"] <= label["x"]
    assert label["x"] + label["width"] <= picture["x"] + picture["width"]
    page.get_by_role("button", name="Save and use").click()
    page.get_by_text("Saved and in use").wait_for()
    print(f"from the login form to a drawn zone in use: {time.monotonic() - began_s:.1f} s")
    assert 'name = "whole-floor"\nkind = "restricted"' in (box.state / "zones.toml").read_text()
    seen = eventually(lambda: [i for i in box.told("/incidents")["incidents"] if i["zone"] == "whole-floor"])
    assert seen[0]["rule"] == "restricted_area"
    page.wait_for_selector("text=in use")
    assert len(box.process.said("started")) == 1


def test_a_mask_is_black_in_the_live_picture_and_an_earlier_version_can_be_used_again(logged_in: Any) -> None:
    page = logged_in("/zones").page
    page.wait_for_selector("img[src^=blob]")
    assert live_picture(page) > 30
    page.get_by_role("button", name="New").click()
    page.select_option("#kind", "never_stored")
    draw(page, [(0.2, 0.2), (0.4, 0.2), (0.4, 0.4), (0.2, 0.4)])
    page.get_by_role("button", name="Save and use").click()
    page.get_by_text("Saved and in use").wait_for()
    page.wait_for_selector("#versions li")
    eventually(lambda: page.locator("img[src^=blob]").count() and live_picture(page) < 5)
    page.get_by_role("button", name="Use again").first.click()
    eventually(lambda: page.locator("img[src^=blob]").count() and live_picture(page) > 30)


def test_zones_can_be_drawn_with_the_keyboard_alone_and_what_is_wrong_is_said(logged_in: Any, box: Box) -> None:
    sight = logged_in("/zones")
    page = sight.page
    page.focus("#new")
    page.keyboard.press("Enter")
    for presses in (0, 0, 40):
        page.focus("#corner")
        page.keyboard.press("Enter")
        for _ in range(presses):
            page.keyboard.press("ArrowDown")
    page.fill("#name", "two words")
    page.focus("#save")
    page.keyboard.press("Enter")
    page.get_by_text("1 to 40 letters, digits, - and _").wait_for()
    sight.said.clear()  # the browser notes the refusal that was asked for
    page.fill("#name", "by-key")
    page.focus("#save")
    page.keyboard.press("Enter")
    page.get_by_text("Saved and in use").wait_for()
    polygon = next(z["polygon"] for z in box.told("/acts/zones")["zones"] if z["name"] == "by-key")
    assert polygon == [[0.4, 0.5], [0.5, 0.5], [0.6, 0.7]]


def test_outputs_maintenance_and_verdicts(logged_in: Any, box: Box) -> None:
    page = logged_in().page
    page.get_by_role("button", name=re.compile("Test siren")).click()
    page.get_by_text("Do you hear and see it?").wait_for()
    box.process.wait_for("output", name="siren", on=True)
    eventually(lambda: box.told("/incidents")["incidents"])
    page.reload()
    page.wait_for_selector("#incidents button[data-verdict=false]")
    page.locator("#incidents button[data-verdict=false]").first.click()
    page.wait_for_selector("#incidents button[data-verdict=false][aria-pressed=true]")
    eventually(lambda: any(i["verdict"] == "false" for i in box.told("/incidents?limit=50")["incidents"]))
    page.get_by_text("Maintenance", exact=True).first.click()
    page.fill("#reason", "cleaning the lens")
    page.get_by_role("button", name="Begin maintenance").click()
    page.get_by_text("In maintenance: the rules are silent").wait_for()
    page.get_by_role("button", name="End maintenance").click()
    eventually(lambda: not box.told("/acts")["maintenance"]["on"])


def test_a_picture_that_is_looked_at_is_on_record_and_a_bundle_holds_no_secret(logged_in: Any, box: Box) -> None:
    page = logged_in().page
    one = eventually(lambda: [i for i in box.told("/incidents")["incidents"] if "annotated" in i["pictures"]])[0]
    page.goto(f"{box.url}/incident/{one['id']}")
    page.wait_for_function("() => [...document.images].every((i) => i.complete && i.naturalWidth)")
    log = (box.state / "incidents.log").read_text()
    assert '"kind":"viewed"' in log
    assert "technician at 127.0.0.1" in log
    page.goto(f"{box.url}/")
    page.get_by_text("Support bundle").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.suggested_filename.endswith(".tar.gz")


def test_a_walk_test_ticks_rules_off_keeps_the_desk_quiet_and_ends_in_a_record(logged_in: Any, box: Box) -> None:
    sight = logged_in("/walk-test")
    page = sight.page
    page.fill("#technician", "Anna Example")
    page.get_by_role("button", name="Begin the walk test").click()
    page.get_by_text("A walk test is running").wait_for()
    eventually(lambda: any(r["fired"] for r in box.told("/acts/walk-test")["rules"]), timeout_s=150)
    page.get_by_text("\u2713 fired").first.wait_for()
    sight.shoot("walk-test")
    test = next(i for i in box.told("/incidents")["incidents"] if i["test"])
    assert test["told"] == "no mail on record"
    page.get_by_role("button", name="End it and write the record").click()
    page.wait_for_selector("#technician")
    record = eventually(lambda: box.told("/acts/walk-test/records")["records"])[0]
    page.wait_for_selector(f"text={record['id']}")
    with page.expect_download() as download:
        page.get_by_role("link", name=record["id"]).click()
    text = download.value.path().read_text()
    assert "Anna Example" in text
    assert re.search(r"[1-9]\d* of \d+ rules fired; ", text)
    assert "\u2713 fired" in text
    assert "data:image/jpeg" in text
