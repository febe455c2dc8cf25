"""Picture the page for the documentation: docs/page.png, docs/page-phone.png, docs/page-utterance.png.

    python scripts/picture_page.py [--output-dir docs]

Plays the bundled recording once by `emostream demo`, as it is installed, and looks at it in Debian's Chromium
when it is over: what the pictures show is what a visitor gets. Needs `emostream[dev]` and the weights of
Whisper (`emostream[whisper]`).
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Final

from playwright.sync_api import Browser, Page, sync_playwright

FLAGS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--force-color-profile=srgb",
)
TIMEOUT_MS: Final = 240_000
"""The recording takes 33 s; a slow machine loads the models for a minute."""


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_listening(port: int, demo: subprocess.Popen[bytes]) -> None:
    while demo.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.2)
        else:
            return
    sys.exit("picture_page: expected the demo to listen, but it ended; its own message is above")


def show(browser: Browser, url: str, width: int, height: int, *, dark: bool = False) -> Page:
    """The page, with its session over."""
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
    )
    context.set_default_timeout(TIMEOUT_MS)
    page = context.new_page()
    page.goto(url)
    page.locator('#connection[data-state="ended"]').wait_for()
    return page


def picture(url: str, folder: Path) -> None:
    """Writes the three files."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        page = show(browser, url, 1360, 1000)
        page.screenshot(path=folder / "page.png")
        page.get_by_role("slider", name="Select an utterance").focus()
        page.keyboard.press("Home")
        page.get_by_role("region", name="The selected utterance").wait_for()
        page.locator("#timeline-part").screenshot(path=folder / "page-utterance.png")
        show(browser, url, 390, 844, dark=True).screenshot(path=folder / "page-phone.png")
        browser.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output-dir", type=Path, default=Path(__file__).resolve().parents[1] / "docs")
    folder: Path = parser.parse_args().output_dir
    port = free_port()
    command = [sys.executable, "-m", "emostream.streamer.cli.main", "demo", "--once", "--port", str(port)]
    with subprocess.Popen(command) as demo:
        try:
            wait_until_listening(port, demo)
            picture(f"http://127.0.0.1:{port}", folder)
        finally:
            demo.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
